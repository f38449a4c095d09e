/**
 * Taking things out of the cache without harm to what is in use.
 *
 * Deleting goes records first, bytes after: killed in between, what is left is a file without a record, which is never
 * served and which `sweep` removes. Bytes go only under their blob's lock, and only where no remaining snapshot needs
 * them; a snapshot that a tab is using stays. Prepared weights go with the last snapshot that has what they were made from;
 * what loads found out about a snapshot goes with it.
 */
import type { CacheSelector } from '../contract/cache.ts';
import { tryBlobLock, tryUnusedSnapshot } from './blob-lock.ts';
import { countUsers, isRefTo, isSelected, listBlobSets, readView } from './catalog-view.ts';
import type { CacheStore } from './catalog-view.ts';
import { listCache } from './catalog.ts';
import { sweepFindings } from './findings.ts';
import { dropPrepared, sweepPrepared } from './prepared.ts';
import { isMadeFrom } from './prepared-record.ts';
import { toRefKey } from './records.ts';
import type { CacheRecords, RecordChange, SnapshotName } from './records.ts';

/**
 * Deletes snapshots and the bytes that nothing else needs. What a tab is using stays and is named in `inUse`.
 */
export async function deleteSnapshots(
  store: CacheStore,
  selectors: readonly CacheSelector[],
): Promise<{ readonly deleted: readonly string[]; readonly inUse: readonly string[] }> {
  const deleted: string[] = [];
  const inUse: string[] = [];
  for (const [key, name] of await listNames(store.records)) {
    if (!selectors.some((selector) => isSelected(selector, name))) continue;
    const done = await tryUnusedSnapshot(key, async () => {
      await deleteSnapshot(store, key);
      return true;
    });
    (done ? deleted : inUse).push(key);
  }
  return { deleted, inUse };
}

/** Deletes everything that is not in use: snapshots, refs, blobs and leftovers. */
export async function deleteAll(store: CacheStore): Promise<{ readonly inUse: readonly string[] }> {
  const all = await listNames(store.records);
  const { inUse } = await deleteSnapshots(store, [...all.values()]);
  await sweep(store, null);
  return { inUse };
}

/** Keeps what the manifest names, deletes every other unpinned snapshot. */
export async function prune(
  store: CacheStore,
  keep: readonly CacheSelector[],
): Promise<{ readonly deleted: readonly string[]; readonly inUse: readonly string[] }> {
  const entries = await listCache(store);
  const doomed = entries.filter((entry) => !entry.pinned && !keep.some((selector) => isSelected(selector, entry)));
  return deleteSnapshots(store, doomed);
}

/**
 * Removes what a crash can leave behind: files without a record, journals without a file, blobs and findings that no snapshot
 * names; and prepared weights of another converter's version (null: whatever version). Whatever another tab is working on is left alone.
 */
export async function sweep(store: CacheStore, converterVersion: number | null): Promise<readonly string[]> {
  const { files, records } = store;
  const needed = await listNeeded(records);
  const present = [...(await files.listBlobs()), ...(await files.listPartial())].map(({ key }) => key);
  const recorded = [...(await records.listBlobs()).keys(), ...(await records.listJournals()).keys()];
  const removed: string[] = [];
  for (const key of new Set([...present, ...recorded])) {
    const hasRecord = recorded.includes(key);
    if (hasRecord && needed.has(key)) continue;
    const done = await tryBlobLock(key, async () => {
      // Looked at again under the lock: another tab may have begun or finished it since.
      const recordedNow = ((await records.getBlob(key)) ?? (await records.getJournal(key))) !== null;
      if (recordedNow && (!hasRecord || (await listNeeded(records)).has(key))) return false;
      await dropBlob(store, key);
      return true;
    });
    if (done) removed.push(key);
  }
  await sweepFindings(records);
  await sweepPrepared(store, converterVersion, [...(await listBlobSets(await readView(records))).values()]);
  return removed;
}

/** A blob's record, journal and bytes. Under its lock. */
export async function dropBlob({ files, records }: CacheStore, key: string): Promise<void> {
  await records.change([
    { kind: 'blob', key, value: null },
    { kind: 'journal', key, value: null },
  ]);
  await files.removeBlob(key);
  await files.removePartial(key);
}

async function deleteSnapshot(store: CacheStore, key: string): Promise<void> {
  const view = await readView(store.records);
  const snapshot = view.snapshots.get(key);
  const blobSets = await listBlobSets(view);
  const users = countUsers(blobSets);
  const orphans = [...(blobSets.get(key) ?? [])].filter((blobKey) => users.get(blobKey) === 1);
  const others = [...blobSets].filter(([other]) => other !== key).map(([, keys]) => keys);
  const changes: RecordChange[] = [
    { kind: 'snapshot', key, value: null },
    { kind: 'usage', key, value: null },
  ];
  for (const ref of view.refs.values()) {
    // A ref names no snapshot that is not there.
    if (snapshot && isRefTo(ref, snapshot)) changes.push({ kind: 'ref', key: toRefKey(ref), value: null });
  }
  await store.records.change(changes);
  await sweepFindings(store.records);
  for (const record of view.prepared.values()) {
    if (!others.some((keys) => isMadeFrom(record, keys))) await dropPrepared(store, record.key);
  }
  for (const blobKey of orphans) await tryBlobLock(blobKey, () => dropBlob(store, blobKey));
}

/** Keys of all blobs that a snapshot names. */
async function listNeeded(records: CacheRecords): Promise<ReadonlySet<string>> {
  return new Set(countUsers(await listBlobSets(await readView(records))).keys());
}

async function listNames(records: CacheRecords): Promise<ReadonlyMap<string, SnapshotName>> {
  return new Map<string, SnapshotName>([...(await records.listUsage()), ...(await records.listSnapshots())]);
}
