/**
 * Stage 1's records for a page that may have none: what was never put is not there.
 *
 * In: the real records, or null for a load that keeps nothing. Out: {@link ResolveRecords} that never fail for want of
 * storage. Guarantee: a database that the browser refuses, or that is full, is noted in `obstacle`; other failures are thrown.
 */
import type { RefRecord, ResolveRecords } from '../contract/cache-records.ts';
import type { LoadError } from '../contract/errors.ts';
import type { Snapshot } from '../contract/snapshot.ts';
import { isStorageShortage } from './storage-error.ts';

/** See the file's header. */
export class OptionalRecords implements ResolveRecords {
  /** Why the records could not be read or written; null as long as they could. */
  obstacle: LoadError | null = null;
  readonly #records: ResolveRecords | null;

  constructor(records: ResolveRecords | null) {
    this.#records = records;
  }

  getRef(endpoint: string, modelId: string, revision: string): Promise<RefRecord | null> {
    return this.#attempt((records) => records.getRef(endpoint, modelId, revision));
  }

  async putRef(record: RefRecord): Promise<void> {
    await this.#attempt((records) => records.putRef(record));
  }

  getSnapshot(endpoint: string, modelId: string, commit: string): Promise<Snapshot | null> {
    return this.#attempt((records) => records.getSnapshot(endpoint, modelId, commit));
  }

  async putSnapshot(snapshot: Snapshot): Promise<void> {
    await this.#attempt((records) => records.putSnapshot(snapshot));
  }

  async #attempt<T>(work: (records: ResolveRecords) => Promise<T>): Promise<T | null> {
    if (!this.#records || this.obstacle?.code === 'storage_unavailable') return null;
    try {
      return await work(this.#records);
    } catch (error) {
      if (!isStorageShortage(error)) throw error;
      this.obstacle ??= error;
      return null;
    }
  }
}
