/**
 * The cache's records in IndexedDB: refs (branch → commit), snapshots (commit → files), usage (last used, pinned, which
 * files loading wanted), blobs (verified contents), journals (half-written contents), prepared (weights as a device
 * takes them, made from blobs) and findings (what a load found out about a snapshot on a device).
 *
 * One database with one store, keys with a prefix a kind, so that what belongs together is written in one transaction:
 * a blob's record appears and its journal disappears at the same instant.
 * Guarantees: a miss is `null`, and so is a record of another version or shape (record-shapes.ts); failures are LoadErrors (`storage_unavailable`, `quota_exceeded`, `storage_failed`).
 */
import { createStore, promisifyRequest } from 'idb-keyval';
import type { UseStore } from 'idb-keyval';
import type { RefRecord, ResolveRecords } from '../contract/cache-records.ts';
import type { ContentHash, Snapshot } from '../contract/snapshot.ts';
import type { Journal } from './journal.ts';
import type { PreparedRecord } from './prepared-record.ts';
import { readRecord, stampRecord } from './record-shapes.ts';
import { storageUnavailable, toStorageError } from './storage-error.ts';

/** A verified blob: exists only while its file is complete, flushed and proved right. */
export interface BlobRecord {
  readonly key: string;
  readonly sizeBytes: number;
  /** Announced and verified, or computed where none was announced. */
  readonly hash: ContentHash;
  readonly verifiedAtMs: number;
}

/** What loading did with a snapshot. */
export interface UsageRecord {
  readonly endpoint: string;
  readonly modelId: string;
  readonly commit: string;
  /** Files that loading has asked for: the others of the repository are not missed. */
  readonly paths: readonly string[];
  readonly lastUsedAtMs: number;
  readonly pinned: boolean;
}

/** What a load found out about a snapshot on an adapter: see `findings.ts`. */
export interface FindingRecord extends SnapshotName {
  readonly version: number;
  /** What was seen in a dtype that computes in float16, in a sentence. */
  readonly inFloat16: string;
  readonly foundAtMs: number;
}

/** What is kept, by its kind. */
export interface RecordTypes {
  blob: BlobRecord;
  journal: Journal;
  prepared: PreparedRecord;
  finding: FindingRecord;
  snapshot: Snapshot;
  usage: UsageRecord;
  ref: RefRecord;
}

/** The kinds of records. */
export type RecordKind = keyof RecordTypes;

/** One record to write or, without a value, to delete. */
export type RecordChange = {
  readonly [K in RecordKind]: { readonly kind: K; readonly key: string; readonly value: RecordTypes[K] | null };
}[RecordKind];

/** The key of a snapshot's and its usage's record. */
export function toSnapshotKey(snapshot: SnapshotName): string {
  return `${snapshot.endpoint} ${snapshot.modelId}@${snapshot.commit}`;
}

/** The key of a ref's record. */
export function toRefKey(ref: Pick<RefRecord, 'endpoint' | 'modelId' | 'revision'>): string {
  return `${ref.endpoint} ${ref.modelId}@${ref.revision}`;
}

/** What names a snapshot. */
export interface SnapshotName {
  readonly endpoint: string;
  readonly modelId: string;
  readonly commit: string;
}

/** Of this worker: one that is open is never collected, and each load would leave another. */
let connection: UseStore | undefined;

/** The records, by one connection a worker; any number of workers and tabs at once. */
export class CacheRecords implements ResolveRecords {
  readonly #store: UseStore = (connection ??= createStore('firstlight', 'records'));

  getBlob(key: string): Promise<BlobRecord | null> {
    return this.#get('blob', key);
  }

  /** Unchecked: {@link readJournal} proves it against the partial file. */
  getJournal(key: string): Promise<unknown> {
    return this.#get('journal', key);
  }

  getPrepared(key: string): Promise<PreparedRecord | null> {
    return this.#get('prepared', key);
  }

  getFinding(key: string): Promise<FindingRecord | null> {
    return this.#get('finding', key);
  }

  getSnapshot(endpoint: string, modelId: string, commit: string): Promise<Snapshot | null> {
    return this.#get('snapshot', toSnapshotKey({ endpoint, modelId, commit }));
  }

  putSnapshot(snapshot: Snapshot): Promise<void> {
    return this.change([{ kind: 'snapshot', key: toSnapshotKey(snapshot), value: snapshot }]);
  }

  getUsage(key: string): Promise<UsageRecord | null> {
    return this.#get('usage', key);
  }

  getRef(endpoint: string, modelId: string, revision: string): Promise<RefRecord | null> {
    return this.#get('ref', toRefKey({ endpoint, modelId, revision }));
  }

  putRef(record: RefRecord): Promise<void> {
    return this.change([{ kind: 'ref', key: toRefKey(record), value: record }]);
  }

  /** All changes or none, in one transaction. */
  async change(changes: readonly RecordChange[]): Promise<void> {
    await this.#run('readwrite', (store) => {
      for (const { kind, key, value } of changes) {
        if (value === null) store.delete(`${kind}:${key}`);
        else store.put(stampRecord(kind, value), `${kind}:${key}`);
      }
      return promisifyRequest(store.transaction);
    });
  }

  /** Reads, changes and writes one usage record without another tab coming between; null deletes it. */
  async updateUsage(key: string, updater: (current: UsageRecord | null) => UsageRecord | null): Promise<void> {
    await this.#run('readwrite', (store) => {
      const request = store.get(`usage:${key}`);
      request.onsuccess = () => {
        const next = updater(readRecord('usage', request.result));
        if (next) store.put(stampRecord('usage', next), `usage:${key}`);
        else store.delete(`usage:${key}`);
      };
      return promisifyRequest(store.transaction);
    });
  }

  listBlobs(): Promise<ReadonlyMap<string, BlobRecord>> {
    return this.#list('blob');
  }

  listJournals(): Promise<ReadonlyMap<string, unknown>> {
    return this.#list('journal');
  }

  listPrepared(): Promise<ReadonlyMap<string, PreparedRecord>> {
    return this.#list('prepared');
  }

  listFindings(): Promise<ReadonlyMap<string, FindingRecord>> {
    return this.#list('finding');
  }

  listSnapshots(): Promise<ReadonlyMap<string, Snapshot>> {
    return this.#list('snapshot');
  }

  listUsage(): Promise<ReadonlyMap<string, UsageRecord>> {
    return this.#list('usage');
  }

  listRefs(): Promise<ReadonlyMap<string, RefRecord>> {
    return this.#list('ref');
  }

  async #get<K extends RecordKind>(kind: K, key: string): Promise<RecordTypes[K] | null> {
    const value = await this.#run('readonly', (store) =>
      promisifyRequest(store.get(`${kind}:${key}`) as IDBRequest<unknown>),
    );
    return readRecord(kind, value);
  }

  async #list<K extends RecordKind>(kind: K): Promise<ReadonlyMap<string, RecordTypes[K]>> {
    // ';' follows ':' in ASCII, so this range is exactly the keys with the prefix.
    const range = IDBKeyRange.bound(`${kind}:`, `${kind};`, false, true);
    return this.#run('readonly', async (store) => {
      const [keys, values] = await Promise.all([
        promisifyRequest(store.getAllKeys(range) as IDBRequest<string[]>),
        promisifyRequest(store.getAll(range) as IDBRequest<unknown[]>),
      ]);
      const records = new Map<string, RecordTypes[K]>();
      for (const [index, key] of keys.entries()) {
        const record = readRecord(kind, values[index]);
        if (record) records.set(key.slice(kind.length + 1), record);
      }
      return records;
    });
  }

  async #run<T>(mode: IDBTransactionMode, work: (store: IDBObjectStore) => T | PromiseLike<T>): Promise<T> {
    if (!('indexedDB' in globalThis)) throw storageUnavailable('IndexedDB');
    try {
      return await this.#store(mode, work);
    } catch (error) {
      throw toStorageError(error, `IndexedDB (${mode})`);
    }
  }
}
