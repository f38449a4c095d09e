/**
 * Zeros between the rows (or columns) of a checkpoint tensor: how many there are, and which row goes where. Pure; in one place
 * for the plan (which sizes and cuts) and the fill (which writes).
 */
import type { Gaps } from '../contract/plan.ts';

/** Rows of a weight that `count` rows of a checkpoint take, a whole number of runs. */
export function countSpread(gaps: Gaps | null, count: number): number {
  return gaps === null ? count : (count / gaps.run) * (gaps.run + gaps.zeros);
}

/** Where the checkpoint's row `index` lies. */
export function findPosition(gaps: Gaps | null, index: number): number {
  if (gaps === null) return index;
  return Math.floor(index / gaps.run) * (gaps.run + gaps.zeros) + (index % gaps.run);
}

/** How many of the checkpoint's rows lie before `position`. */
export function countBefore(gaps: Gaps | null, position: number): number {
  if (gaps === null) return position;
  const period = gaps.run + gaps.zeros;
  return Math.floor(position / period) * gaps.run + Math.min(position % period, gaps.run);
}

/** Whether there are zeros at `position`. */
export function isGap(gaps: Gaps | null, position: number): boolean {
  return gaps !== null && position % (gaps.run + gaps.zeros) >= gaps.run;
}
