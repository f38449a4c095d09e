/**
 * What is in the cache: for people, and for whoever plans a download. Nothing is changed here but pins.
 */
import type { CacheEntry, CacheEntryFile, CacheSelector, FileStatus } from '../contract/cache.ts';
import type { Snapshot, SnapshotFile } from '../contract/snapshot.ts';
import { countUsers, isRefTo, isSelected, listBlobSets, readView } from './catalog-view.ts';
import type { CacheStore, CacheView } from './catalog-view.ts';
import { countBytes } from './intervals.ts';
import { readJournal, toBlobKey } from './journal.ts';
import { isMadeFrom } from './prepared-record.ts';
import { toSnapshotKey } from './records.ts';
import type { CacheRecords, SnapshotName, UsageRecord } from './records.ts';

/** Every snapshot that loading has touched, most recently used first. */
export async function listCache(store: CacheStore): Promise<readonly CacheEntry[]> {
  const view = await readView(store.records);
  const blobSets = await listBlobSets(view);
  const users = countUsers(blobSets);
  const entries: CacheEntry[] = [];
  for (const [key, usage] of view.usage) {
    const snapshot = view.snapshots.get(key);
    if (snapshot) entries.push(await toEntry(view, users, blobSets.get(key) ?? new Set(), snapshot, usage));
  }
  return entries.sort((a, b) => b.lastUsedAtMs - a.lastUsedAtMs);
}

/** How much of each of these files is on disk. */
export async function readStatus(
  records: CacheRecords,
  files: readonly SnapshotFile[],
): Promise<readonly FileStatus[]> {
  return Promise.all(
    files.map(async (file) => {
      const key = await toBlobKey(file);
      const { path, sizeBytes } = file;
      const blob = await records.getBlob(key);
      if (blob) return { path, sizeBytes, cachedBytes: sizeBytes, complete: true };
      const journal = readJournal(await records.getJournal(key), sizeBytes, sizeBytes);
      return { path, sizeBytes, cachedBytes: countBytes(journal.intervals), complete: false };
    }),
  );
}

/** Bytes that deleting all of these snapshots would free: their blobs, but for those that others need too. */
export async function measureFreeable(store: CacheStore, names: readonly SnapshotName[]): Promise<number> {
  const blobSets = await listBlobSets(await readView(store.records));
  const doomed = new Set(names.map(toSnapshotKey));
  const kept = new Set([...blobSets].flatMap(([key, blobs]) => (doomed.has(key) ? [] : [...blobs])));
  const freed = new Set([...blobSets].flatMap(([key, blobs]) => (doomed.has(key) ? [...blobs] : [])));
  const stored = [...(await store.files.listBlobs()), ...(await store.files.listPartial())];
  return stored.reduce((sum, { key, sizeBytes }) => (freed.has(key) && !kept.has(key) ? sum + sizeBytes : sum), 0);
}

/** Pins or unpins: a pinned snapshot is never evicted and never pruned. False where there is none. */
export async function pin(store: CacheStore, selector: CacheSelector, pinned: boolean): Promise<boolean> {
  let found = false;
  for (const [key, usage] of await store.records.listUsage()) {
    if (!isSelected(selector, usage)) continue;
    await store.records.updateUsage(key, (current) => (current ? { ...current, pinned } : null));
    found = true;
  }
  return found;
}

async function toEntry(
  view: CacheView,
  users: ReadonlyMap<string, number>,
  blobKeys: ReadonlySet<string>,
  snapshot: Snapshot,
  usage: UsageRecord,
): Promise<CacheEntry> {
  const files: CacheEntryFile[] = [];
  let ownBytes = 0;
  for (const file of snapshot.files) {
    const key = await toBlobKey(file);
    const complete = view.blobs.has(key);
    const journal = readJournal(view.journals.get(key), file.sizeBytes, file.sizeBytes);
    const cachedBytes = complete ? file.sizeBytes : countBytes(journal.intervals);
    if (cachedBytes === 0 && !usage.paths.includes(file.path)) continue;
    files.push({ path: file.path, sizeBytes: file.sizeBytes, hash: file.hash, cachedBytes, complete });
    if (users.get(key) === 1) ownBytes += cachedBytes;
  }
  const wanted = files.filter((file) => usage.paths.includes(file.path));
  const prepared = [...view.prepared.values()].filter((record) => isMadeFrom(record, blobKeys));
  const { modelId, source, endpoint, commit } = snapshot;
  return {
    modelId,
    source,
    endpoint,
    revisions: [...view.refs.values()].filter((ref) => isRefTo(ref, snapshot)).map((ref) => ref.revision),
    commit,
    files,
    sizeBytes: files.reduce((sum, file) => sum + file.cachedBytes, 0),
    ownBytes,
    preparedBytes: prepared.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0),
    totalBytes: wanted.reduce((sum, file) => sum + file.sizeBytes, 0),
    complete: wanted.length > 0 && wanted.every((file) => file.complete),
    pinned: usage.pinned,
    lastUsedAtMs: usage.lastUsedAtMs,
  };
}
