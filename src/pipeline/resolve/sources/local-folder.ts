/**
 * Stage 1 for a folder on this computer: a snapshot of what lies in it, and the files to be read in place.
 *
 * In: a directory handle, or files with paths. Out: a snapshot and its files. Guarantees: names, sizes and times are read,
 * never contents (but for the branch of a Hugging Face cache); nothing is copied and nothing recorded; the commit changes when a name, a size or a time does.
 */
import { throwIfAborted } from '../../../base/abort.ts';
import { forEachConcurrent } from '../../../base/concurrency.ts';
import { isLoadError, LoadError } from '../../../contract/errors.ts';
import { MAX_FOLDER_FILES } from '../../../contract/snapshot.ts';
import type { LocalFile, ModelOrigin, Snapshot } from '../../../contract/snapshot.ts';
import { findCachedSnapshot } from './hub-cache.ts';
import { hashIdentity } from '../../../base/identity.ts';
import { LocalFiles } from './local-files.ts';
import type { OpenedFile } from './local-files.ts';
import { describeReadFailure } from './local-read-error.ts';
import { findModelRoot } from './model-root.ts';

/** A local folder as the pipeline takes it. */
export interface LocalRepository {
  readonly snapshot: Snapshot;
  readonly files: LocalFiles;
}

/** Sub-folders of a model's folder go no deeper; a loop of links would. */
const MAX_DEPTH = 12;

/** Handles that are asked for size and time at once. */
const CONCURRENT_HANDLES = 16;

/** @throws LoadError `file_not_found`, `invalid_argument`, `storage_failed`, `aborted` */
export async function openLocalFolder(
  name: string,
  folder: Extract<ModelOrigin, { type: 'folder' }>['folder'],
  signal: AbortSignal,
): Promise<LocalRepository> {
  throwIfAborted(signal);
  const found = 'kind' in folder ? await listHandle(folder, signal) : folder.map(toFound);
  const paths = found.map(({ path }) => path);
  const readText = async (wanted: string): Promise<string> => {
    const { path, file, reopen } = found.find((one) => one.path === wanted) ?? {
      path: wanted,
      file: null,
      reopen: null,
    };
    return (file ?? (await openHandle(path, reopen))).text();
  };
  const root = (await findCachedSnapshot(paths, name, readText)) ?? findModelRoot(paths, name);
  const prefix = root === '' ? '' : `${root}/`;
  const files = new Map<string, OpenedFile>();
  const members = found.filter(({ path }) => path.startsWith(prefix));
  await forEachConcurrent(
    members,
    CONCURRENT_HANDLES,
    async ({ path, file, reopen }) => {
      files.set(path.slice(prefix.length), { file: file ?? (await openHandle(path, reopen)), reopen });
    },
    signal,
  );
  const listed = [...files].sort(([a], [b]) => (a < b ? -1 : 1));
  return {
    snapshot: {
      modelId: name,
      source: 'folder',
      endpoint: '',
      revision: 'main',
      commit: await hashIdentity(listed.map(([path, { file }]) => [path, file.size, file.lastModified])),
      files: listed.map(([path, { file }]) => ({ path, sizeBytes: file.size, hash: null, url: '' })),
      resolvedAtMs: Date.now(),
      offline: false,
    },
    files: new LocalFiles(files),
  };
}

interface FoundFile {
  readonly path: string;
  readonly file: File | null;
  /** The file as it is now; null where only the page's snapshot of it is at hand. */
  readonly reopen: (() => Promise<File>) | null;
}

function toFound({ path, file }: LocalFile): FoundFile {
  return { path, file, reopen: null };
}

async function listHandle(folder: FileSystemDirectoryHandle, signal: AbortSignal): Promise<readonly FoundFile[]> {
  const found: FoundFile[] = [];
  const walk = async (handle: FileSystemDirectoryHandle, prefix: string, depth: number): Promise<void> => {
    for await (const [name, child] of handle.entries()) {
      throwIfAborted(signal);
      const path = `${prefix}${name}`;
      if (name.startsWith('.')) continue; // .git, .cache and their like hold no model, but thousands of files
      if (isDirectory(child)) {
        if (depth < MAX_DEPTH) await walk(child, `${path}/`, depth + 1);
      } else {
        if (found.length >= MAX_FOLDER_FILES) throw tooManyFiles(folder.name);
        found.push({ path, file: null, reopen: () => child.getFile() });
      }
    }
  };
  try {
    await walk(folder, '', 0);
    return found;
  } catch (error) {
    throw isLoadError(error) ? error : describeReadFailure(`The folder "${folder.name}"`, error);
  }
}

async function openHandle(path: string, reopen: FoundFile['reopen']): Promise<File> {
  try {
    if (reopen) return await reopen();
  } catch (error) {
    throw describeReadFailure(path, error);
  }
  throw new LoadError('internal', { message: `${path} has neither a file nor a handle` });
}

function isDirectory(handle: FileSystemHandle): handle is FileSystemDirectoryHandle {
  return handle.kind === 'directory';
}

function tooManyFiles(name: string): LoadError {
  return new LoadError('invalid_argument', {
    message: `"${name}" has more than ${MAX_FOLDER_FILES} files: choose the folder that holds the model's config.json.`,
    detail: { argument: 'folder', reason: 'too_many_files', limit: MAX_FOLDER_FILES },
  });
}
