/**
 * What the cache says about itself, and what the fetch stage says about its work. Plain data: crosses workers as it is.
 */
import type { ContentHash, SnapshotSource } from './snapshot.ts';

/** How much of one file of a snapshot is on this disk. */
export interface FileStatus {
  readonly path: string;
  readonly sizeBytes: number;
  /** Bytes on disk, verified or not. */
  readonly cachedBytes: number;
  /** All bytes there and their hash verified. */
  readonly complete: boolean;
}

/**
 * Progress of a download. `doneBytes` never falls, `totalBytes` is constant, and both are equal only once every file is
 * verified and recorded.
 */
export interface FetchProgress {
  readonly doneBytes: number;
  readonly totalBytes: number;
  /** Body bytes that this tab received for this download; bytes that another tab fetched for us do not count. */
  readonly networkBytes: number;
}

/** A file whose earlier bytes turned out to be wrong, so that it was fetched anew. */
export interface RestartedFile {
  readonly path: string;
  readonly reason: 'integrity_mismatch' | 'file_changed';
}

/** What a download did. */
export interface DownloadSummary {
  readonly totalBytes: number;
  readonly networkBytes: number;
  /** On disk before the download began, or fetched by another tab meanwhile. */
  readonly cachedBytes: number;
  /**
   * Files that started over. **Whatever was read from them with `waitRange` before the download ended is void** and has
   * to be read again.
   */
  readonly restarted: readonly RestartedFile[];
  /** Sentences for the report: servers without ranges, takeovers, restarts, evictions. */
  readonly notices: readonly string[];
}

/** One snapshot in the cache. */
export interface CacheEntry {
  readonly modelId: string;
  readonly source: SnapshotSource;
  readonly endpoint: string;
  /** Branches and tags that last pointed here. */
  readonly revisions: readonly string[];
  readonly commit: string;
  /** Files of this snapshot that loading has asked for. */
  readonly files: readonly CacheEntryFile[];
  /** Sum of the files' bytes on disk; blobs that another snapshot shares are counted here too. */
  readonly sizeBytes: number;
  /** Of these, in blobs that no other snapshot uses: what deleting this snapshot would free. */
  readonly ownBytes: number;
  /**
   * Besides the files: weights in the form that a device takes them, kept so that the next load reads only those. Made from
   * the files, and the first to go when room is short. Two snapshots with the same weights share them.
   */
  readonly preparedBytes: number;
  readonly totalBytes: number;
  readonly complete: boolean;
  readonly pinned: boolean;
  readonly lastUsedAtMs: number;
}

/** One file of a {@link CacheEntry}. */
export interface CacheEntryFile extends FileStatus {
  readonly hash: ContentHash | null;
}

/** How much room there is, in bytes. */
export interface CacheUsage {
  /** Verified blobs, half-written files and prepared weights. */
  readonly sizeBytes: number;
  /** Of these, prepared weights. */
  readonly preparedBytes: number;
  /** What the browser counts for this origin, everything included. */
  readonly usageBytes: number;
  readonly quotaBytes: number;
  /** Whether the browser promised not to delete the cache by itself. */
  readonly persisted: boolean;
}

/**
 * A snapshot by name, as delete, pin, prune and verify take it. Without a commit: every snapshot of the model; without an
 * endpoint: from wherever it came. A hub and its mirror are two endpoints: what was loaded from both is two snapshots, each with
 * its own branches, pin and time of last use, over the same blobs.
 */
export interface CacheSelector {
  readonly modelId: string;
  readonly commit?: string;
  /** As {@link CacheEntry.endpoint} has it. */
  readonly endpoint?: string;
}

/** A snapshot by all of its names. */
export interface CachedSnapshotName {
  readonly endpoint: string;
  readonly modelId: string;
  readonly commit: string;
}

/** What deleting, clearing or pruning did. */
export interface CacheRemoval {
  readonly removed: readonly CachedSnapshotName[];
  /** Asked for, but left alone: a tab (this one, maybe) is loading them. */
  readonly inUse: readonly CachedSnapshotName[];
  /** Bytes of the files that are gone; less than the snapshots' sizes where others share them. */
  readonly freedBytes: number;
}

/** How far a `verify` is. `doneBytes` never falls, `totalBytes` is constant. */
export interface VerifyProgress {
  readonly doneBytes: number;
  readonly totalBytes: number;
}

/**
 * What `verify` found. Damaged files are dropped, so that the next load fetches them again. Prepared weights count as a file,
 * `prepared weights (q4)`; damaged ones are dropped, so that the next load makes them again.
 */
export interface VerifyResult {
  readonly checkedFiles: number;
  readonly checkedBytes: number;
  readonly damaged: readonly { readonly path: string; readonly commit: string; readonly reason: string }[];
}
