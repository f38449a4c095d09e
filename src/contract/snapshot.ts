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
  /**
   * Where its bytes are: addressed by commit, never by branch. A static server has no commits: there the fragment, which is
   * never sent, names the file's version, so that two versions are two blobs. Empty for a local folder.
   */
  readonly url: string;
}

/** Where a snapshot comes from. */
export type SnapshotSource = 'bundled' | 'hub' | 'url' | 'folder';

/** A file on this computer, with its path below the chosen folder, `/` between folders. */
export interface LocalFile {
  readonly path: string;
  readonly file: File;
}

/** More files than this is no model's folder: somebody chose a disk or a home. */
export const MAX_FOLDER_FILES = 10_000;

/** Where a model's files are, as a load's request tells the worker: by structured clone, never as bytes. */
export type ModelOrigin =
  /** Bundled with the page, else at the hub: found by its id. */
  | { readonly type: 'id' }
  /** A folder of a static server. Absolute, without trailing slash, query, fragment and credentials. */
  | { readonly type: 'url'; readonly baseUrl: string }
  /** A folder on this computer, read in place. */
  | { readonly type: 'folder'; readonly folder: FileSystemDirectoryHandle | readonly LocalFile[] };

/** A repository at one commit. */
export interface Snapshot {
  /** `org/name`; host and path of a static server; the name of a local folder. */
  readonly modelId: string;
  readonly source: SnapshotSource;
  /** The endpoint or base URL that it was resolved from, without a trailing slash; empty for a local folder. */
  readonly endpoint: string;
  /** What was asked for: a branch, tag or commit. */
  readonly revision: string;
  /**
   * The commit that the revision stood for: 40 hex digits on a hub; a content hash for bundled models; a hash over names,
   * sizes and what tells versions apart (ETag, time of the last change) for static servers and folders.
   */
  readonly commit: string;
  readonly files: readonly SnapshotFile[];
  /** When the revision was resolved, ms since the epoch; older than this load where the network was away. */
  readonly resolvedAtMs: number;
  /** True where the network could not be reached and the last known commit of the branch is used. */
  readonly offline: boolean;
}
