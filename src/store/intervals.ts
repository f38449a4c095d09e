/**
 * Sets of byte positions as sorted, disjoint, non-touching half-open intervals. Pure.
 *
 * Every function takes and returns such a list and changes none. Lists stay short (a handful of gaps a file), so linear
 * scans are the fast way.
 */

/** Half-open byte range `[start, end)`, `start < end`. */
export interface Interval {
  readonly start: number;
  readonly end: number;
}

/** `list` with `[start, end)` added. */
export function addInterval(list: readonly Interval[], start: number, end: number): readonly Interval[] {
  if (start >= end) return list;
  const result: Interval[] = [];
  let merged: Interval = { start, end };
  let placed = false;
  for (const item of list) {
    if (item.end < merged.start) result.push(item);
    else if (item.start > merged.end) {
      if (!placed) result.push(merged);
      placed = true;
      result.push(item);
    } else merged = { start: Math.min(item.start, merged.start), end: Math.max(item.end, merged.end) };
  }
  if (!placed) result.push(merged);
  return result;
}

/** `list` without `[start, end)`. */
export function removeInterval(list: readonly Interval[], start: number, end: number): readonly Interval[] {
  if (start >= end) return list;
  return list.flatMap((item) => [
    ...keepIfNotEmpty(item.start, Math.min(item.end, start)),
    ...keepIfNotEmpty(Math.max(item.start, end), item.end),
  ]);
}

/** The parts of `[start, end)` that `list` lacks. */
export function missingIntervals(list: readonly Interval[], start: number, end: number): readonly Interval[] {
  const result: Interval[] = [];
  let position = start;
  for (const item of list) {
    if (item.end <= position) continue;
    if (item.start >= end) break;
    if (item.start > position) result.push({ start: position, end: item.start });
    position = item.end;
  }
  if (position < end) result.push({ start: position, end });
  return result;
}

/** Whether `list` holds every position of `[start, end)`; true for an empty range. */
export function coversInterval(list: readonly Interval[], start: number, end: number): boolean {
  return start >= end || list.some((item) => item.start <= start && end <= item.end);
}

/** The end of the run without gaps that starts at `position`; `position` itself where nothing starts there. */
export function contiguousEnd(list: readonly Interval[], position: number): number {
  return list.find((item) => item.start <= position && position < item.end)?.end ?? position;
}

/** How many positions `list` holds. */
export function countBytes(list: readonly Interval[]): number {
  return list.reduce((sum, item) => sum + item.end - item.start, 0);
}

function keepIfNotEmpty(start: number, end: number): Interval[] {
  return start < end ? [{ start, end }] : [];
}
