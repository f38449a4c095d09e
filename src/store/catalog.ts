/**
 * Care of the cache: what is in it, and taking things out without harm to what is in use.
 *
 * Deleting goes records first, bytes after: killed in between, what is left is a file without a record, which is never
 * served and which `sweep` removes. Bytes go only under their blob's lock, and only where no remaining snapshot needs
 * them; a snapshot that a tab is using stays. Prepared weights go with the last snapshot that has what they were made from.
 */
import type { CacheEntry, CacheEntryFile, CacheSelector, FileStatus, VerifyResult } from '../contract/cache.ts';
import { throwIfAborted } from '../base/abort.ts';
import type { RefRecord } from '../contract/cache-records.ts';
import type { Snapshot, SnapshotFile } from '../contract/snapshot.ts';
import { tryBlobLock, tryUnusedSnapshot } from './blob-lock.ts';
import type { BlobFiles } from './blob-files.ts';
import { hashBlob } from './hashing.ts';
import { countBytes } from './intervals.ts';
import { readJournal, toBlobKey } from './journal.ts';
import { dropPrepared, findPreparedDamage, sweepPrepared } from './prepared.ts';
import type { PreparedRecord } from './prepared-record.ts';
import { isMadeFrom } from './prepared-record.ts';
import { toRefKey, toSnapshotKey } from './records.ts';
import type { BlobRecord, CacheRecords, RecordChange, SnapshotName, UsageRecord } from './records.ts';

/** Records and bytes. */
export interface CacheStore {
  readonly files: BlobFiles;
  readonly records: CacheRecords;
}

/** Whether a selector means this snapshot. */
export function isSelected({ modelId, commit, endpoint }: CacheSelector, name: SnapshotName): boolean {
  return (
    modelId === name.modelId &&
    (commit === undefined || commit === name.commit) &&
    (endpoint === undefined || endpoint === name.endpoint)
  );
}

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

/**
 * Reads every complete file of the selected snapshots and compares its hash with what was announced, and the weights that were
 * prepared from them likewise with what was recorded. What is damaged loses its record and its bytes. @throws LoadError `aborted`
 */
export async function verify(
  store: CacheStore,
  selector: CacheSelector,
  options: {
    readonly signal?: AbortSignal;
    readonly onProgress?: (doneBytes: number, totalBytes: number) => void;
  } = {},
): Promise<VerifyResult> {
  const checks = await listChecks(store, selector);
  const totalBytes = checks.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0);
  const damaged: VerifyResult['damaged'][number][] = [];
  let doneBytes = 0;
  for (const { path, commit, sizeBytes, findReason, drop } of checks) {
    const reason = await findReason((fileBytes) => {
      throwIfAborted(options.signal);
      options.onProgress?.(doneBytes + fileBytes, totalBytes);
    });
    doneBytes += sizeBytes;
    options.onProgress?.(doneBytes, totalBytes);
    if (reason === null) continue;
    damaged.push({ path, commit, reason });
    await drop();
  }
  return { checkedFiles: checks.length, checkedBytes: totalBytes, damaged };
}

/** Bytes that {@link verify} would read. */
export async function measureChecks(store: CacheStore, selector: CacheSelector): Promise<number> {
  return (await listChecks(store, selector)).reduce((sum, { sizeBytes }) => sum + sizeBytes, 0);
}

/**
 * Removes what a crash can leave behind: files without a record, journals without a file, blobs that no snapshot names; and
 * prepared weights of another converter's version (null: whatever version). Whatever another tab is working on is left alone.
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
  await sweepPrepared(store, converterVersion, [...(await listBlobSets(await readView(records))).values()]);
  return removed;
}

interface View {
  readonly refs: ReadonlyMap<string, RefRecord>;
  readonly snapshots: ReadonlyMap<string, Snapshot>;
  readonly usage: ReadonlyMap<string, UsageRecord>;
  readonly blobs: ReadonlyMap<string, BlobRecord>;
  readonly journals: ReadonlyMap<string, unknown>;
  readonly prepared: ReadonlyMap<string, PreparedRecord>;
}

async function readView(records: CacheRecords): Promise<View> {
  const [refs, snapshots, usage, blobs, journals, prepared] = await Promise.all([
    records.listRefs(),
    records.listSnapshots(),
    records.listUsage(),
    records.listBlobs(),
    records.listJournals(),
    records.listPrepared(),
  ]);
  return { refs, snapshots, usage, blobs, journals, prepared };
}

/** Snapshot key → the blobs that it names. */
async function listBlobSets(view: View): Promise<ReadonlyMap<string, ReadonlySet<string>>> {
  const sets = new Map<string, ReadonlySet<string>>();
  for (const [key, snapshot] of view.snapshots)
    sets.set(key, new Set(await Promise.all(snapshot.files.map(toBlobKey))));
  return sets;
}

/** Blob key → how many snapshots name it. */
function countUsers(blobSets: ReadonlyMap<string, ReadonlySet<string>>): ReadonlyMap<string, number> {
  const users = new Map<string, number>();
  for (const keys of blobSets.values()) for (const key of keys) users.set(key, (users.get(key) ?? 0) + 1);
  return users;
}

/** Keys of all blobs that a snapshot names. */
async function listNeeded(records: CacheRecords): Promise<ReadonlySet<string>> {
  return new Set(countUsers(await listBlobSets(await readView(records))).keys());
}

/** One thing to verify. */
interface Check {
  readonly path: string;
  readonly commit: string;
  readonly sizeBytes: number;
  readonly findReason: (onPiece: (doneBytes: number) => void) => Promise<string | null>;
  readonly drop: () => Promise<unknown>;
}

/** Each blob and each prepared weights of the selected snapshots, once. */
async function listChecks(store: CacheStore, selector: CacheSelector): Promise<readonly Check[]> {
  const view = await readView(store.records);
  const blobSets = await listBlobSets(view);
  const checks = new Map<string, Check>();
  const selected = [...view.snapshots].filter(([, snapshot]) => isSelected(selector, snapshot));
  for (const [, { commit, files }] of selected) {
    for (const file of files) {
      const blob = view.blobs.get(await toBlobKey(file));
      if (!blob) continue;
      checks.set(`blob:${blob.key}`, {
        path: file.path,
        commit,
        sizeBytes: blob.sizeBytes,
        findReason: (onPiece) => findDamage(store, blob, onPiece),
        drop: () => tryBlobLock(blob.key, () => dropBlob(store, blob.key)),
      });
    }
  }
  for (const [key, { commit }] of selected) {
    for (const record of view.prepared.values()) {
      if (!isMadeFrom(record, blobSets.get(key) ?? new Set())) continue;
      checks.set(`prepared:${record.key}`, {
        path: `prepared weights (${record.dtype})`,
        commit,
        sizeBytes: record.sizeBytes,
        findReason: (onPiece) => findPreparedDamage(store, record, onPiece),
        drop: () => dropPrepared(store, record.key),
      });
    }
  }
  return [...checks.values()];
}

async function toEntry(
  view: View,
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
  for (const record of view.prepared.values()) {
    if (!others.some((keys) => isMadeFrom(record, keys))) await dropPrepared(store, record.key);
  }
  for (const blobKey of orphans) await tryBlobLock(blobKey, () => dropBlob(store, blobKey));
}

/** Under the blob's lock. */
async function dropBlob({ files, records }: CacheStore, key: string): Promise<void> {
  await records.change([
    { kind: 'blob', key, value: null },
    { kind: 'journal', key, value: null },
  ]);
  await files.removeBlob(key);
  await files.removePartial(key);
}

async function findDamage(
  { files }: CacheStore,
  blob: BlobRecord,
  onPiece: (doneBytes: number) => void,
): Promise<string | null> {
  const file = await files.getBlob(blob.key);
  if (!file) return 'the file is gone';
  if (file.size !== blob.sizeBytes) return `${file.size} bytes instead of ${blob.sizeBytes}`;
  const actual = await hashBlob(blob.hash.algorithm, file, onPiece);
  return actual === blob.hash.hex ? null : `${blob.hash.algorithm} is ${actual} instead of ${blob.hash.hex}`;
}

function isRefTo(ref: RefRecord, snapshot: SnapshotName): boolean {
  return ref.endpoint === snapshot.endpoint && ref.modelId === snapshot.modelId && ref.commit === snapshot.commit;
}

async function listNames(records: CacheRecords): Promise<ReadonlyMap<string, SnapshotName>> {
  return new Map<string, SnapshotName>([...(await records.listUsage()), ...(await records.listSnapshots())]);
}
