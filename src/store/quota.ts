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
import type { CacheStore } from './catalog.ts';
import { toSnapshotKey } from './records.ts';

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
 * Makes room for `neededBytes`, sparing the snapshot `keepKey`. Returns what was deleted. Runs in a dedicated worker.
 * @throws LoadError `quota_exceeded`
 */
export async function ensureRoom(
  store: CacheStore,
  neededBytes: number,
  keepKey: string,
): Promise<readonly CacheEntry[]> {
  let freeBytes = await findRoom(store.files, neededBytes);
  if (freeBytes >= neededBytes) return [];
  const candidates = (await listCache(store))
    .filter((entry) => !entry.pinned && toSnapshotKey(entry) !== keepKey && entry.sizeBytes > 0)
    .sort((a, b) => a.lastUsedAtMs - b.lastUsedAtMs);
  const evicted: CacheEntry[] = [];
  const evictableBytes = candidates.reduce((sum, entry) => sum + entry.sizeBytes, 0);
  if (neededBytes <= freeBytes + evictableBytes) {
    for (const entry of candidates) {
      const { deleted } = await deleteSnapshots(store, [entry]);
      if (deleted.length === 0) continue;
      evicted.push(entry);
      freeBytes = await findRoom(store.files, neededBytes);
      if (freeBytes >= neededBytes) return evicted;
    }
  }
  const left = candidates.filter((entry) => !evicted.includes(entry));
  throw shortageError(neededBytes, freeBytes, left);
}

/** IndexedDB and the file system's own records need some room too. */
const RECORD_MARGIN_BYTES = 256 * 1024;

/**
 * How much of `neededBytes` there is room for. The estimate alone does not do: Chromium reports a quota that is the same for
 * everybody (so that it tells nothing about the disk or a private window) and enforces another. So the browser is asked
 * for the bytes themselves as well.
 */
async function findRoom(files: BlobFiles, neededBytes: number): Promise<number> {
  if (neededBytes === 0) return 0;
  const wantedBytes = neededBytes + RECORD_MARGIN_BYTES;
  const { freeBytes } = await readEstimate();
  const room = Math.min(freeBytes, await files.findRoom(Math.min(wantedBytes, freeBytes)));
  return Math.max(0, room - RECORD_MARGIN_BYTES);
}

function shortageError(neededBytes: number, freeBytes: number, evictable: readonly CacheEntry[]): LoadError {
  const names = evictable.map((entry) => entry.modelId).join(', ');
  return new LoadError('quota_exceeded', {
    stage: 'fetch',
    message:
      `${toMegabytes(neededBytes)} are needed and about ${toMegabytes(freeBytes)} are free. ` +
      (evictable.length > 0
        ? `Deleting what else is in the cache (${names}) would not be enough, or it is in use.`
        : 'Free some disk space, or delete or unpin models in the cache.'),
    detail: {
      neededBytes,
      freeBytes,
      evictable: evictable.map(({ modelId, commit, sizeBytes }) => ({ modelId, commit, sizeBytes })),
    },
  });
}

function toMegabytes(sizeBytes: number): string {
  return `${(sizeBytes / 1e6).toFixed(1)} MB`;
}
