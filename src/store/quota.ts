/**
 * How much room there is, and making more: least recently used snapshots go first, pinned ones and those in use never.
 *
 * In: bytes needed. Out: nothing, once they fit by the browser's own estimate; else `quota_exceeded` with
 * `{neededBytes, freeBytes, evictable}`, before anything was deleted in vain.
 */
import { LoadError } from '../contract/errors.ts';
import type { CacheEntry, CacheUsage } from '../contract/cache.ts';
import type { BlobFiles } from './blob-files.ts';
import { deleteSnapshots, listCache } from './catalog.ts';
import { toSnapshotKey } from './records.ts';
import type { CacheRecords } from './records.ts';

/** What the browser says about this origin's storage. */
export async function readEstimate(): Promise<{
  readonly usageBytes: number;
  readonly quotaBytes: number;
  readonly freeBytes: number;
}> {
  const { usage = 0, quota = Number.MAX_SAFE_INTEGER } = await navigator.storage.estimate();
  return { usageBytes: usage, quotaBytes: quota, freeBytes: Math.max(0, quota - usage) };
}

/** Size of the cache and of the room for it. */
export async function readUsage(files: BlobFiles): Promise<CacheUsage> {
  const stored = [...(await files.listBlobs()), ...(await files.listPartial())];
  const { usageBytes, quotaBytes } = await readEstimate();
  return {
    sizeBytes: stored.reduce((sum, file) => sum + file.sizeBytes, 0),
    usageBytes,
    quotaBytes,
    persisted: await navigator.storage.persisted(),
  };
}

/**
 * Makes room for `neededBytes`, sparing the snapshot `keepKey`. Returns what was deleted.
 * @throws LoadError `quota_exceeded`
 */
export async function ensureRoom(
  store: { readonly files: BlobFiles; readonly records: CacheRecords },
  neededBytes: number,
  keepKey: string,
): Promise<readonly CacheEntry[]> {
  if (neededBytes === 0) return [];
  const wantedBytes = neededBytes + RECORD_MARGIN_BYTES;
  const { freeBytes } = await readEstimate();
  if (wantedBytes <= freeBytes) return [];

  const candidates = (await listCache(store))
    .filter((entry) => !entry.pinned && toSnapshotKey(entry) !== keepKey && entry.sizeBytes > 0)
    .sort((a, b) => a.lastUsedAtMs - b.lastUsedAtMs);
  const evictableBytes = candidates.reduce((sum, entry) => sum + entry.sizeBytes, 0);
  const evicted: CacheEntry[] = [];
  if (wantedBytes <= freeBytes + evictableBytes) {
    for (const entry of candidates) {
      const { deleted } = await deleteSnapshots(store, [entry]);
      if (deleted.length > 0) evicted.push(entry);
      if (wantedBytes <= (await readEstimate()).freeBytes) return evicted;
    }
  }
  const left = (await readEstimate()).freeBytes;
  throw new LoadError('quota_exceeded', {
    message:
      `${toMegabytes(neededBytes)} are needed and ${toMegabytes(left)} are free. ` +
      (candidates.length > 0
        ? `Deleting ${candidates.map((entry) => entry.modelId).join(', ')} from the cache would not be enough.`
        : 'Free some disk space, or delete or unpin models in the cache.'),
    detail: {
      neededBytes,
      freeBytes: left,
      evictable: candidates
        .filter((entry) => !evicted.includes(entry))
        .map(({ modelId, commit, sizeBytes }) => ({ modelId, commit, sizeBytes })),
    },
  });
}

/** IndexedDB and the file system's own records need some room too. */
const RECORD_MARGIN_BYTES = 256 * 1024;

function toMegabytes(sizeBytes: number): string {
  return `${(sizeBytes / 1e6).toFixed(1)} MB`;
}
