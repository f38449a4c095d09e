/**
 * Folders on this computer, by every way that a page can get at one: a directory handle, a list of files, drag and drop.
 *
 * In: what the platform gives. Out: a handle, or files with their paths below the chosen folder: what clones to a worker.
 * Guarantees: no byte of a file is read; hidden files and folders (`.git`) are left out; a folder too big to be a model is
 * refused before all of it is walked.
 */
import { LoadError } from '../contract/errors.ts';
import { MAX_FOLDER_FILES } from '../contract/snapshot.ts';
import type { LocalFile } from '../contract/snapshot.ts';

/** A folder on this computer that holds a repository's files, read in place. */
export interface FolderSource {
  /**
   * From `showDirectoryPicker()` or OPFS; from `<input webkitdirectory>`; or files with paths of their own. Plain files
   * without `webkitRelativePath` count as lying in one folder.
   */
  readonly folder: FileSystemDirectoryHandle | FileList | readonly (File | LocalFile)[];
  /** What the model is called. Default: the folder's name. */
  readonly name?: string;
}

/** A folder as it crosses to the worker, and its name. */
export interface OpenedFolder {
  readonly name: string;
  readonly folder: FileSystemDirectoryHandle | readonly LocalFile[];
}

const NAMELESS = 'local files';

/** @throws LoadError `invalid_argument`, `storage_failed` (reason `permission_denied`) */
export async function openFolder({ folder, name }: FolderSource): Promise<OpenedFolder> {
  if (isDirectoryHandle(folder)) {
    await requestAccess(folder);
    return { name: name ?? (folder.name || NAMELESS), folder }; // OPFS calls its root ""
  }
  const all = Array.from(folder, (item) =>
    'file' in item ? item : { path: item.webkitRelativePath || item.name, file: item },
  );
  const top = commonFolder(all);
  const files: LocalFile[] = [];
  for (const { path, file } of all) {
    const below = top === null ? path : path.slice(top.length + 1);
    if (!isHidden(below)) addFile(files, { path: below, file });
  }
  return { name: name ?? top ?? NAMELESS, folder: files };
}

/** Whether this browser can show its folder picker; elsewhere an `<input type="file" webkitdirectory>` serves. */
export function canPickFolder(): boolean {
  return typeof (globalThis as PickerRealm).showDirectoryPicker === 'function';
}

/** The browser's folder picker; null where the person closed it. Needs a click or key press. */
export async function pickFolder(): Promise<FolderSource | null> {
  try {
    const folder = await (globalThis as PickerRealm).showDirectoryPicker?.({ mode: 'read', id: 'firstlight-model' });
    return folder ? { folder } : null;
  } catch (error) {
    if (error instanceof DOMException && error.name === 'AbortError') return null;
    throw deniedError('The folder', error);
  }
}

/**
 * A dropped folder, or dropped files. Call it within the `drop` event: what was dropped is gone after it.
 * @throws LoadError `invalid_argument` where nothing of it is a file, or too much; `storage_failed`
 */
export async function readDroppedFolder(dropped: DataTransfer): Promise<FolderSource> {
  // The items are read before the first await, the entries at leisure.
  const entries = [...dropped.items].flatMap((item) => item.webkitGetAsEntry() ?? []);
  if (entries.length === 0) {
    throw new LoadError('invalid_argument', { message: 'What was dropped is neither a folder nor a file.' });
  }
  const files: LocalFile[] = [];
  try {
    for (const entry of entries) await walkEntry(entry, '', files);
  } catch (error) {
    throw error instanceof LoadError ? error : deniedError('What was dropped', error);
  }
  // A folder without files is called by its name, too.
  const [only, ...others] = entries;
  return only && isDirectoryEntry(only) && others.length === 0 ? { folder: files, name: only.name } : { folder: files };
}

async function walkEntry(entry: FileSystemEntry, parent: string, files: LocalFile[]): Promise<void> {
  if (parent !== '' && isHidden(entry.name)) return;
  const path = `${parent}${entry.name}`;
  if (isFileEntry(entry)) {
    const file = await new Promise<File>((resolve, reject) => entry.file(resolve, reject));
    addFile(files, { path, file });
  } else if (isDirectoryEntry(entry)) {
    const reader = entry.createReader();
    for (;;) {
      // Chromium gives 100 entries at a time; none means the end.
      const batch = await new Promise<FileSystemEntry[]>((resolve, reject) => reader.readEntries(resolve, reject));
      if (batch.length === 0) return;
      for (const child of batch) await walkEntry(child, `${path}/`, files);
    }
  }
}

function addFile(files: LocalFile[], file: LocalFile): void {
  if (files.length >= MAX_FOLDER_FILES) {
    throw new LoadError('invalid_argument', {
      message: `The folder has more than ${MAX_FOLDER_FILES} files: choose the one that holds the model's config.json.`,
      detail: { reason: 'too_many_files', limit: MAX_FOLDER_FILES },
    });
  }
  files.push(file);
}

/** Handles that were kept from an earlier visit have to be allowed again. */
async function requestAccess(handle: FileSystemDirectoryHandle): Promise<void> {
  const { queryPermission, requestPermission } = handle as PermissionHandle;
  if (!queryPermission || !requestPermission) return;
  let state: PermissionState;
  try {
    state = await queryPermission.call(handle, { mode: 'read' });
    if (state === 'prompt') state = await requestPermission.call(handle, { mode: 'read' });
  } catch (error) {
    throw deniedError(`"${handle.name}"`, error);
  }
  if (state !== 'granted') throw deniedError(`"${handle.name}"`, undefined);
}

function deniedError(what: string, cause: unknown): LoadError {
  return new LoadError('storage_failed', {
    message: `${what} may not be read: choose it again and allow this page to view its files.`,
    detail: { reason: 'permission_denied' },
    cause,
  });
}

/** The first segment, where all paths share it; null where one file lies at the top. */
function commonFolder(files: readonly LocalFile[]): string | null {
  const [first = ''] = files[0]?.path.split('/') ?? [];
  return first !== '' && files.every(({ path }) => path.startsWith(`${first}/`)) ? first : null;
}

function isHidden(path: string): boolean {
  return path.split('/').some((segment) => segment.startsWith('.'));
}

function isDirectoryHandle(folder: FolderSource['folder']): folder is FileSystemDirectoryHandle {
  return 'kind' in folder;
}

function isFileEntry(entry: FileSystemEntry): entry is FileSystemFileEntry {
  return entry.isFile;
}

function isDirectoryEntry(entry: FileSystemEntry): entry is FileSystemDirectoryEntry {
  return entry.isDirectory;
}

/** WICG File System Access, which TypeScript's DOM leaves out: not every browser has it. */
interface PermissionHandle {
  readonly queryPermission?: (descriptor: { readonly mode: 'read' }) => Promise<PermissionState>;
  readonly requestPermission?: (descriptor: { readonly mode: 'read' }) => Promise<PermissionState>;
}

type PickerRealm = typeof globalThis & {
  readonly showDirectoryPicker?: (options: {
    readonly mode: 'read';
    readonly id: string;
  }) => Promise<FileSystemDirectoryHandle>;
};
