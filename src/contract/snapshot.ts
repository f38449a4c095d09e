/**
 * What stage 1 (resolve) yields: a repository pinned to a commit, with every file's size and hash.
 *
 * Plain data; crosses workers and is kept in IndexedDB as it is.
 */

/** The hash by which a file's bytes are known: LFS files by sha256, small ones by git's blob sha1. */
export interface ContentHash {
  readonly algorithm: 'sha256' | 'git-sha1';
  /** Lower-case hex: 64 digits for sha256, 40 for git-sha1. */
  readonly hex: string;
}

/** One file of a snapshot. */
export interface SnapshotFile {
  /** Path inside the repository, `/` between folders, proved free of `..`, empty segments and absolute forms. */
  readonly path: string;
  readonly sizeBytes: number;
  /** Null only where the source announces none (a plain static folder). */
  readonly hash: ContentHash | null;
  /** Where its bytes are: addressed by commit, never by branch. */
  readonly url: string;
}

/** Where a snapshot comes from. */
export type SnapshotSource = 'bundled' | 'hub';

/** A repository at one commit. */
export interface Snapshot {
  /** `org/name`. */
  readonly modelId: string;
  readonly source: SnapshotSource;
  /** The endpoint or base URL that it was resolved from, without a trailing slash. */
  readonly endpoint: string;
  /** What was asked for: a branch, tag or commit. */
  readonly revision: string;
  /** The commit that the revision stood for: 40 hex digits on a hub; a content hash for bundled models. */
  readonly commit: string;
  readonly files: readonly SnapshotFile[];
  /** When the revision was resolved, ms since the epoch; older than this load where the network was away. */
  readonly resolvedAtMs: number;
  /** True where the network could not be reached and the last known commit of the branch is used. */
  readonly offline: boolean;
}
