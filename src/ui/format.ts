/**
 * Numbers as people read them.
 *
 * In: bytes, milliseconds, counts. Out: short strings in English, with a non-breaking space before the unit.
 * Guarantees: never throws; what is no finite number comes out as an en dash, so that no row ever shows `NaN`.
 */

const NOTHING = '–';
const SPACE = '\u00a0';
const GROUPED = new Intl.NumberFormat('en', { maximumFractionDigits: 0 });

/** Decimal units, as hubs and disks count: `5.6 MB`. */
export function formatBytes(sizeBytes: number | null | undefined): string {
  return scale(sizeBytes, 1000, ['B', 'kB', 'MB', 'GB', 'TB']);
}

/** Binary units, as GPU limits are set: `1 GiB`, `32 KiB`. */
export function formatBinaryBytes(sizeBytes: number | null | undefined): string {
  const text = scale(sizeBytes, 1024, ['B', 'KiB', 'MiB', 'GiB', 'TiB']);
  return text.replace(/\.0+(?=\u00a0)/, '');
}

/** `12.4 MB/s`. */
export function formatRate(bytesPerSecond: number | null | undefined): string {
  return isCount(bytesPerSecond) ? `${formatBytes(bytesPerSecond)}/s` : NOTHING;
}

/** `84 ms`, `3.42 s`, `2 min 05 s`. */
export function formatDuration(durationMs: number | null | undefined): string {
  if (!isCount(durationMs)) return NOTHING;
  if (durationMs < 999.5) return `${Math.round(durationMs)}${SPACE}ms`;
  const seconds = durationMs / 1000;
  if (seconds < 59.995) return `${seconds.toFixed(seconds < 9.995 ? 2 : 1)}${SPACE}s`;
  const whole = Math.round(seconds);
  return `${Math.floor(whole / 60)}${SPACE}min${SPACE}${String(whole % 60).padStart(2, '0')}${SPACE}s`;
}

/** Parameters and the like: `2.1 M`, `14.77 B` (billions, as the field writes them). */
export function formatCount(count: number | null | undefined): string {
  if (!isCount(count)) return NOTHING;
  if (count < 1000) return String(Math.round(count));
  const steps = [
    { size: 1e3, unit: 'k' },
    { size: 1e6, unit: 'M' },
    { size: 1e9, unit: 'B' },
    { size: 1e12, unit: 'T' },
  ];
  const step = steps.findLast(({ size }) => count >= size) ?? { size: 1e3, unit: 'k' };
  const value = count / step.size;
  return `${value.toFixed(value < 100 ? 2 : 0)}${SPACE}${step.unit}`;
}

/** `1,234,567`. */
export function formatInteger(count: number | null | undefined): string {
  // Intl writes negative zero as “-0”; adding zero makes it plain.
  return isCount(count) ? GROUPED.format(count + 0) : NOTHING;
}

/** A fraction from 0 to 1 as whole percent, never 100 before the end: `99%`. */
export function formatPercent(fraction: number): string {
  if (!Number.isFinite(fraction)) return NOTHING;
  return `${fraction >= 1 ? 100 : Math.max(0, Math.floor(fraction * 100))}%`;
}

/** The first digits of a commit, as git shows it. */
export function formatCommit(commit: string): string {
  return commit.length > 10 ? commit.slice(0, 10) : commit;
}

function scale(sizeBytes: number | null | undefined, base: number, units: readonly string[]): string {
  if (!isCount(sizeBytes)) return NOTHING;
  let value = sizeBytes;
  let unit = 0;
  // 999.95 kB would round to "1000.0 kB", so the step is taken just before.
  while (value >= base - 0.05 && unit < units.length - 1) {
    value /= base;
    unit += 1;
  }
  return `${unit === 0 ? Math.round(value) : value.toFixed(1)}${SPACE}${units[unit] ?? ''}`;
}

function isCount(value: number | null | undefined): value is number {
  return typeof value === 'number' && Number.isFinite(value) && value >= 0;
}
