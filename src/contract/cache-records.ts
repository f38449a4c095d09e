/**
 * Records of the cache that more than one part reads: which commit a branch stood for, and snapshots by commit.
 *
 * Plain data, as IndexedDB keeps it. The model is the Hugging Face cache: refs name commits, snapshots name blobs.
 */
import type { Snapshot } from './snapshot.ts';

/** The commit that a branch or tag stood for when it was last asked for. */
export interface RefRecord {
  /** As in {@link Snapshot}: without a trailing slash. */
  readonly endpoint: string;
  readonly modelId: string;
  readonly revision: string;
  readonly commit: string;
  /** ms since the epoch. */
  readonly resolvedAtMs: number;
}

/** What stage 1 remembers between loads. Every `get` yields null for what was never put. */
export interface ResolveRecords {
  getRef(endpoint: string, modelId: string, revision: string): Promise<RefRecord | null>;
  putRef(record: RefRecord): Promise<void>;
  getSnapshot(endpoint: string, modelId: string, commit: string): Promise<Snapshot | null>;
  /** Keyed by the snapshot's own `endpoint`, `modelId` and `commit`. */
  putSnapshot(snapshot: Snapshot): Promise<void>;
}
