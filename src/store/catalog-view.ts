/**
 * All records of the cache at one moment, and who needs which blob.
 */
import type { CacheSelector } from '../contract/cache.ts';
import type { RefRecord } from '../contract/cache-records.ts';
import type { Snapshot } from '../contract/snapshot.ts';
import type { BlobFiles } from './blob-files.ts';
import { toBlobKey } from './journal.ts';
import type { PreparedRecord } from './prepared-record.ts';
import type { BlobRecord, CacheRecords, SnapshotName, UsageRecord } from './records.ts';

/** Records and bytes. */
export interface CacheStore {
  readonly files: BlobFiles;
  readonly records: CacheRecords;
}

/** See the file's header. Keys are those of the records. */
export interface CacheView {
  readonly refs: ReadonlyMap<string, RefRecord>;
  readonly snapshots: ReadonlyMap<string, Snapshot>;
  readonly usage: ReadonlyMap<string, UsageRecord>;
  readonly blobs: ReadonlyMap<string, BlobRecord>;
  readonly journals: ReadonlyMap<string, unknown>;
  readonly prepared: ReadonlyMap<string, PreparedRecord>;
}

/** As they are now. */
export async function readView(records: CacheRecords): Promise<CacheView> {
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
export async function listBlobSets(view: CacheView): Promise<ReadonlyMap<string, ReadonlySet<string>>> {
  const sets = new Map<string, ReadonlySet<string>>();
  for (const [key, snapshot] of view.snapshots)
    sets.set(key, new Set(await Promise.all(snapshot.files.map(toBlobKey))));
  return sets;
}

/** Blob key → how many snapshots name it. */
export function countUsers(blobSets: ReadonlyMap<string, ReadonlySet<string>>): ReadonlyMap<string, number> {
  const users = new Map<string, number>();
  for (const keys of blobSets.values()) for (const key of keys) users.set(key, (users.get(key) ?? 0) + 1);
  return users;
}

/** Whether a selector means this snapshot. */
export function isSelected({ modelId, commit, endpoint }: CacheSelector, name: SnapshotName): boolean {
  return (
    modelId === name.modelId &&
    (commit === undefined || commit === name.commit) &&
    (endpoint === undefined || endpoint === name.endpoint)
  );
}

/** Whether a branch or tag names this snapshot. */
export function isRefTo(ref: RefRecord, snapshot: SnapshotName): boolean {
  return ref.endpoint === snapshot.endpoint && ref.modelId === snapshot.modelId && ref.commit === snapshot.commit;
}
