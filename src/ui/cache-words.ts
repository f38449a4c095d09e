/**
 * The cache in words for people.
 *
 * In: entries and results as the cache gives them. Out: short English texts. Guarantees: an entry that lacks a byte is never
 * called complete, nor 100 %.
 */
import type { CacheEntry, CacheRemoval, CacheUsage, VerifyResult } from '../contract/cache.ts';
import { DEFAULT_ENDPOINT } from '../contract/model-name.ts';
import type { FormDraft } from './stores/load-store.svelte.ts';
import { formatBytes, formatCommit, formatPercent } from './format.ts';

/** Identifies an entry on the page. */
export function entryKey({ endpoint, modelId, commit }: Pick<CacheEntry, 'endpoint' | 'modelId' | 'commit'>): string {
  return `${endpoint} ${modelId}@${commit}`;
}

/** An entry's name in a sentence: several commits of one model may be listed. */
export function entryName({ modelId, commit }: Pick<CacheEntry, 'modelId' | 'commit'>): string {
  return `${modelId} at ${formatCommit(commit)}`;
}

/** How much of an entry is on disk, 0 to 1, and 1 only where it is complete. */
export function entryFraction(entry: Pick<CacheEntry, 'sizeBytes' | 'totalBytes' | 'complete'>): number {
  if (entry.complete) return 1;
  return entry.totalBytes > 0 ? Math.min(0.999, entry.sizeBytes / entry.totalBytes) : 0;
}

/** `complete`, or `partial, 42%`. */
export function describeState(entry: Pick<CacheEntry, 'sizeBytes' | 'totalBytes' | 'complete'>): string {
  return entry.complete ? 'complete' : `partial, ${formatPercent(entryFraction(entry))}`;
}

/** `5.6 MB` or `2.0 MB of 5.6 MB`, what of it another revision needs too, and what was prepared from it. */
export function describeSize(
  entry: Pick<CacheEntry, 'sizeBytes' | 'totalBytes' | 'ownBytes' | 'preparedBytes' | 'complete'>,
): string {
  const { sizeBytes, totalBytes, ownBytes, preparedBytes, complete } = entry;
  const prepared = preparedBytes > 0 ? `, and ${formatBytes(preparedBytes)} prepared` : '';
  const size = complete ? formatBytes(sizeBytes) : `${formatBytes(sizeBytes)} of ${formatBytes(totalBytes)}`;
  const sharedBytes = Math.max(0, sizeBytes - ownBytes);
  const shares = sharedBytes === 0 ? '' : `: ${formatBytes(ownBytes)} own, ${formatBytes(sharedBytes)} shared`;
  return size + shares + prepared;
}

/** Where an entry came from: the page, or a host. */
export function describeSource({ source, endpoint }: Pick<CacheEntry, 'source' | 'endpoint'>): string {
  if (source === 'bundled') return 'comes with this page';
  if (source === 'folder') return 'a folder of this computer';
  return URL.canParse(endpoint) ? new URL(endpoint).host : endpoint;
}

const AGO = new Intl.RelativeTimeFormat('en', { numeric: 'auto' });
const STEPS: readonly (readonly [unit: Intl.RelativeTimeFormatUnit, ms: number])[] = [
  ['day', 86_400_000],
  ['hour', 3_600_000],
  ['minute', 60_000],
];

/** `just now`, `3 minutes ago`, `yesterday`; a date once a month has passed. */
export function describeAge(thenMs: number, nowMs: number): string {
  const agoMs = nowMs - thenMs;
  if (agoMs < 60_000) return 'just now';
  if (agoMs > 30 * 86_400_000) {
    return new Date(thenMs).toLocaleDateString('en', { day: 'numeric', month: 'long', year: 'numeric' });
  }
  const [unit, ms] = STEPS.find((step) => agoMs >= step[1]) ?? ['minute', 60_000];
  return AGO.format(-Math.floor(agoMs / ms), unit);
}

/**
 * What to put into the form to load an entry again: by branch, so that a moved one is noticed, else by commit. Null for a
 * folder, which the page may not open again by itself.
 */
export function toFormDraft(
  entry: Pick<CacheEntry, 'modelId' | 'source' | 'endpoint' | 'revisions' | 'commit'>,
): FormDraft | null {
  const { modelId, source, endpoint, revisions, commit } = entry;
  if (source === 'folder') return null;
  if (source === 'url') return { kind: 'url', baseUrl: endpoint };
  const revision = revisions.includes('main') ? 'main' : (revisions[0] ?? commit);
  // A bundled model is found whatever hub is set.
  // An empty field stands for the hub itself.
  const field = source === 'bundled' ? null : endpoint === DEFAULT_ENDPOINT ? '' : endpoint;
  return { kind: 'id', modelId, revision, endpoint: field };
}

/** What deleting did, in a sentence or two. */
export function describeRemoval({ removed, inUse, freedBytes }: CacheRemoval): string {
  const names = (snapshots: CacheRemoval['removed']): string => snapshots.map(entryName).join(', ');
  const done =
    removed.length === 0
      ? inUse.length > 0
        ? ''
        : freedBytes > 0
          ? `${formatBytes(freedBytes)} of leftovers were deleted.`
          : 'There was nothing to delete.'
      : `Deleted ${removed.length > 2 ? `${removed.length} snapshots` : names(removed)}: ${formatBytes(freedBytes)} freed.`;
  const left = inUse.length === 0 ? '' : `Not deleted, because a tab is loading it: ${names(inUse)}.`;
  return [done, left].filter((text) => text !== '').join(' ');
}

/** What a check found, in a sentence; the damaged files are listed beside it. */
export function describeCheck({ checkedFiles, checkedBytes, damaged }: VerifyResult): string {
  if (checkedFiles === 0) return 'No file is complete, so there was nothing to check.';
  const files = (count: number): string => `${count} ${count === 1 ? 'file' : 'files'}`;
  const checked = `${files(checkedFiles)}, ${formatBytes(checkedBytes)}`;
  if (damaged.length === 0) return `Checked ${checked}: every hash is right.`;
  return `Checked ${checked}: ${files(damaged.length)} damaged and removed. The next load brings ${damaged.length === 1 ? 'it' : 'them'} back.`;
}

/** The room of this site in three parts, which add up to the quota. */
export function splitRoom({ sizeBytes, usageBytes, quotaBytes }: CacheUsage): {
  readonly modelBytes: number;
  readonly otherBytes: number;
  readonly freeBytes: number;
} {
  // The browser's own figure lags behind the files, and counts what is deleted for a while.
  const otherBytes = Math.max(0, usageBytes - sizeBytes);
  return { modelBytes: sizeBytes, otherBytes, freeBytes: Math.max(0, quotaBytes - sizeBytes - otherBytes) };
}
