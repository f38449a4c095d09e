/**
 * How much room there is, and making more: prepared weights go first (they can be made again), then the least recently used
 * snapshots, pinned ones and those in use never.
 *
 * In: bytes needed. Out: nothing, once they fit by the browser's own estimate; else `quota_exceeded` with
 * `{neededBytes, freeBytes, evictable}`, before anything was deleted in vain.
 */
import { LoadError } from '../contract/errors.ts';
import type { CacheEntry, CacheUsage } from '../contract/cache.ts';
import type { BlobFiles } from './blob-files.ts';
import type { CacheStore } from './catalog-view.ts';
import { listCache, measureFreeable } from './catalog.ts';
import type { PreparedRecord } from './prepared-record.ts';
import { dropPrepared } from './prepared.ts';
import { toSnapshotKey } from './records.ts';
import { deleteSnapshots } from './removal.ts';

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
  const preparedBytes = sumSizes(await files.prepared.list());
  const { usageBytes, quotaBytes } = await readEstimate();
  return {
    sizeBytes: sumSizes(stored) + preparedBytes,
    preparedBytes,
    usageBytes,
    quotaBytes,
    persisted: await navigator.storage.persisted(),
  };
}

/** What had to go. */
export interface Eviction {
  readonly preparedBytes: number;
  readonly snapshots: readonly CacheEntry[];
}

/**
 * Makes room for `neededBytes`, sparing the snapshot `keepKey`, though not the weights prepared from it. Runs in a dedicated
 * worker.
 * @throws LoadError `quota_exceeded`
 */
export async function ensureRoom(store: CacheStore, neededBytes: number, keepKey: string): Promise<Eviction> {
  const evicted = { preparedBytes: 0, snapshots: [] as CacheEntry[] };
  let freeBytes = await findRoom(store.files, neededBytes);
  if (freeBytes >= neededBytes) return evicted;
  const { candidates, prepared, freeableBytes } = await findEvictable(store, keepKey);
  if (neededBytes <= freeBytes + freeableBytes) {
    for (const { key, sizeBytes } of prepared) {
      if (!(await dropPrepared(store, key))) continue;
      evicted.preparedBytes += sizeBytes;
      freeBytes = await findRoom(store.files, neededBytes);
      if (freeBytes >= neededBytes) return evicted;
    }
    for (const entry of candidates) {
      const { deleted } = await deleteSnapshots(store, [entry]);
      if (deleted.length === 0) continue;
      evicted.snapshots.push(entry);
      freeBytes = await findRoom(store.files, neededBytes);
      if (freeBytes >= neededBytes) return evicted;
    }
  }
  const left = candidates.filter((entry) => !evicted.snapshots.includes(entry));
  throw shortageError(neededBytes, freeBytes, left);
}

/**
 * The `quota_exceeded` that {@link ensureRoom} would throw now, by the same arithmetic; null where it would find room, or make it.
 * Deletes nothing. Runs in a dedicated worker.
 */
export async function foreseeShortage(
  store: CacheStore,
  neededBytes: number,
  keepKey: string,
): Promise<LoadError | null> {
  if (neededBytes === 0) return null; // a load from the cache: to ask the disk for room would only delay it
  const freeBytes = await findRoom(store.files, neededBytes);
  if (freeBytes >= neededBytes) return null;
  const { candidates, freeableBytes } = await findEvictable(store, keepKey);
  return neededBytes <= freeBytes + freeableBytes ? null : shortageError(neededBytes, freeBytes, candidates);
}

/** What may go, in the order in which it goes: prepared weights, then snapshots. */
async function findEvictable(
  store: CacheStore,
  keepKey: string,
): Promise<{
  readonly candidates: readonly CacheEntry[];
  readonly prepared: readonly PreparedRecord[];
  readonly freeableBytes: number;
}> {
  const candidates = (await listCache(store))
    .filter((entry) => !entry.pinned && toSnapshotKey(entry) !== keepKey && entry.sizeBytes > 0)
    .sort((a, b) => a.lastUsedAtMs - b.lastUsedAtMs);
  const prepared = [...(await store.records.listPrepared()).values()].sort((a, b) => a.usedAtMs - b.usedAtMs);
  const freeableBytes = (await measureFreeable(store, candidates)) + sumSizes(prepared);
  return { candidates, prepared, freeableBytes };
}

/** Whether there is room for so much more, without taking anything else away. Runs in a dedicated worker. */
export async function hasRoom(files: BlobFiles, neededBytes: number): Promise<boolean> {
  return (await findRoom(files, neededBytes)) >= neededBytes;
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

function sumSizes(items: readonly { readonly sizeBytes: number }[]): number {
  return items.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0);
}

function toMegabytes(sizeBytes: number): string {
  return `${(sizeBytes / 1e6).toFixed(1)} MB`;
}
