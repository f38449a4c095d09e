/** Stage 1's records in memory: what the store keeps in IndexedDB. */
import type { RefRecord, ResolveRecords } from '../../../src/contract/cache-records.ts';
import type { Snapshot } from '../../../src/contract/snapshot.ts';

export class MemoryRecords implements ResolveRecords {
  readonly refs = new Map<string, RefRecord>();
  readonly snapshots = new Map<string, Snapshot>();
  /** Puts in order, to prove which came first. */
  readonly writes: string[] = [];

  getRef(endpoint: string, modelId: string, revision: string): Promise<RefRecord | null> {
    return Promise.resolve(this.refs.get([endpoint, modelId, revision].join(' ')) ?? null);
  }

  putRef(record: RefRecord): Promise<void> {
    this.writes.push(`ref ${record.revision}`);
    this.refs.set([record.endpoint, record.modelId, record.revision].join(' '), structuredClone(record));
    return Promise.resolve();
  }

  getSnapshot(endpoint: string, modelId: string, commit: string): Promise<Snapshot | null> {
    return Promise.resolve(this.snapshots.get([endpoint, modelId, commit].join(' ')) ?? null);
  }

  putSnapshot(snapshot: Snapshot): Promise<void> {
    this.writes.push(`snapshot ${snapshot.commit}`);
    this.snapshots.set([snapshot.endpoint, snapshot.modelId, snapshot.commit].join(' '), structuredClone(snapshot));
    return Promise.resolve();
  }
}
