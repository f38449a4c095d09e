/**
 * Repositories of the local hub: revisions, commits, files. In: what a test describes. Out: what the API lists and the
 * file routes serve. A commit's sha derives from its files, as in git (though not by git's own formula).
 */
import { createHash } from 'node:crypto';
import { readdir } from 'node:fs/promises';
import { join, relative, sep } from 'node:path';
import { type Content, type ContentHashes, type ContentSpec, hashContent, openContent } from './content.ts';

/** A file with more to say than its bytes. */
export interface FileSpec {
  readonly content: ContentSpec;
  /** Kept outside git, served by the CDN. Default: by the name's ending, or above 10 MB. */
  readonly lfs?: boolean;
  /** Said instead of computed: for a file of which nobody will read more than a few bytes, and which is long to hash. */
  readonly hashes?: ContentHashes;
  /** Lies of the listing about this file. */
  readonly listed?: { readonly sizeBytes?: number; readonly sha256?: string; readonly oid?: string };
}

/** The files of a revision: paths and contents, or a folder on disk. */
export type FilesSpec =
  { readonly directory: string } | { readonly files: Readonly<Record<string, ContentSpec | FileSpec>> };

/** A repository. */
export interface RepositorySpec {
  /** Branch `main`. */
  readonly main: FilesSpec;
  /** Other branches, tags and refs (`refs/pr/1`), each with its files. */
  readonly revisions?: Readonly<Record<string, FilesSpec>>;
  /** Listed to everyone, readable with one of `tokens` only. */
  readonly gated?: 'auto' | 'manual';
  /** Not even listed without one of `tokens`. */
  readonly private?: boolean;
  readonly disabled?: boolean;
  /** Access tokens that may read this repository. Every token named anywhere is a valid token. */
  readonly tokens?: readonly string[];
  /** Fine-grained tokens of people who may read this repository, made without the permission to read gated ones. */
  readonly tokensWithoutPermission?: readonly string[];
  /** The repository moved: everything redirects (307) to this id. */
  readonly renamedTo?: string;
  /** And to this origin: a mirror that sends its callers on. Default: its own. */
  readonly renamedAt?: string;
  /** A hostile listing: entries put behind the real ones as they are, and a commit that is none. */
  readonly hostile?: { readonly entries?: readonly unknown[]; readonly sha?: unknown };
}

/** One file as it is served. */
export interface HubFile {
  readonly path: string;
  readonly content: Content;
  readonly lfs: boolean;
  /** git's blob hash: of the bytes, or of the LFS pointer. */
  readonly oid: string;
  readonly sha256: string;
  readonly pointerSize: number;
  readonly listed: NonNullable<FileSpec['listed']>;
}

/** One commit. */
export interface Commit {
  readonly sha: string;
  /** Sorted by path. */
  readonly files: ReadonlyMap<string, HubFile>;
}

/** A repository as it is served. */
export interface Repository {
  readonly id: string;
  readonly spec: RepositorySpec;
  readonly refs: Map<string, Commit>;
  readonly commits: Map<string, Commit>;
}

const LFS_ENDINGS = /\.(safetensors|bin|onnx|onnx_data|gguf|h5|msgpack|model|pt|pth|ot|ckpt|zip|npz|parquet)$/;
const LFS_ABOVE_BYTES = 10_000_000;

/** Reads and hashes all revisions of a repository. */
export async function openRepository(id: string, spec: RepositorySpec): Promise<Repository> {
  const repository: Repository = { id, spec, refs: new Map(), commits: new Map() };
  await commitFiles(repository, 'main', spec.main);
  for (const [revision, files] of Object.entries(spec.revisions ?? {})) await commitFiles(repository, revision, files);
  return repository;
}

/** Makes a commit and moves a branch to it; older commits stay readable. */
export async function commitFiles(repository: Repository, branch: string, spec: FilesSpec): Promise<Commit> {
  const specs = 'directory' in spec ? await readDirectory(spec.directory) : Object.entries(spec.files);
  const files = new Map<string, HubFile>();
  for (const [path, file] of [...specs].sort(([a], [b]) => (a < b ? -1 : 1)))
    files.set(path, await openFile(path, file));
  const sha = createHash('sha1')
    .update(JSON.stringify([...files.values()].map((file) => [file.path, file.oid])))
    .digest('hex');
  const commit = repository.commits.get(sha) ?? { sha, files };
  repository.commits.set(sha, commit);
  repository.refs.set(branch, commit);
  return commit;
}

/** The commit that a branch, tag or commit names. */
export function findCommit(repository: Repository, revision: string): Commit | null {
  return repository.refs.get(revision) ?? repository.commits.get(revision) ?? null;
}

async function openFile(path: string, spec: ContentSpec | FileSpec): Promise<HubFile> {
  const file = isFileSpec(spec) ? spec : { content: spec };
  const content = await openContent(file.content);
  const { sha256, gitSha1 } = file.hashes ?? (await hashContent(content));
  const lfs = file.lfs ?? (LFS_ENDINGS.test(path) || content.sizeBytes > LFS_ABOVE_BYTES);
  const pointer = `version https://git-lfs.github.com/spec/v1\noid sha256:${sha256}\nsize ${content.sizeBytes}\n`;
  const pointerSha1 = createHash('sha1').update(`blob ${pointer.length}\0${pointer}`).digest('hex');
  const oid = lfs ? pointerSha1 : gitSha1;
  return { path, content, lfs, oid, sha256, pointerSize: pointer.length, listed: file.listed ?? {} };
}

function isFileSpec(spec: ContentSpec | FileSpec): spec is FileSpec {
  return typeof spec === 'object' && 'content' in spec;
}

async function readDirectory(directory: string): Promise<(readonly [string, ContentSpec])[]> {
  const entries = await readdir(directory, { recursive: true, withFileTypes: true });
  return entries
    .filter((entry) => entry.isFile())
    .map((entry) => {
      const path = join(entry.parentPath, entry.name);
      return [relative(directory, path).split(sep).join('/'), { path }] as const;
    })
    .filter(([path]) => !path.split('/').some((segment) => segment === '.git' || segment === '.cache'));
}
