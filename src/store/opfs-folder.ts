/**
 * One folder of the origin private file system.
 *
 * In: names that are fit for files. Out: files, and sync handles (in dedicated workers only: they exist nowhere else).
 * Miss values: `null` for a file that is not there, `false` for a removal of nothing. Failures are LoadErrors
 * (`storage_unavailable`, `quota_exceeded`, `storage_failed`). Who may touch which file when is decided by locks
 * (blob-lock.ts), not here.
 */
import { readHandle, readSlices } from './readable-file.ts';
import type { ReadableFile } from './readable-file.ts';
import { storageUnavailable, toStorageError } from './storage-error.ts';

/** A `FileSystemSyncAccessHandle`; declared here because the DOM's types leave it to workers. */
export interface SyncFile {
  /** Bytes read; fewer than asked at the file's end. */
  read(target: Uint8Array, options: { at: number }): number;
  /** Bytes written. Anything else than what was given means failure: Chromium 156 returns 2^32 - 8 for a full disk. */
  write(bytes: Uint8Array, options: { at: number }): number;
  truncate(sizeBytes: number): void;
  getSize(): number;
  flush(): void;
  close(): void;
}

/** One file on disk. */
export interface StoredFile {
  readonly key: string;
  readonly sizeBytes: number;
}

/** See the file's header. */
export class OpfsFolder {
  readonly #handle: FileSystemDirectoryHandle;

  private constructor(handle: FileSystemDirectoryHandle) {
    this.#handle = handle;
  }

  static async open(parent: FileSystemDirectoryHandle, name: string): Promise<OpfsFolder> {
    return new OpfsFolder(await parent.getDirectoryHandle(name, { create: true }));
  }

  /** The file as it is now. */
  async get(name: string): Promise<File | null> {
    try {
      return await (await this.#handle.getFileHandle(name)).getFile();
    } catch (error) {
      if (isNotFound(error)) return null;
      throw toStorageError(error, `Reading ${name}`);
    }
  }

  /** For reading, beside others that read it; null where there is none. Close it before it is removed. */
  async openReadable(name: string): Promise<ReadableFile | null> {
    try {
      const handle = await this.#handle.getFileHandle(name);
      const file = handle as unknown as WorkerFileHandle;
      // Only where the mode is known: other browsers ignore it, and would open the file for this tab alone.
      if (KNOWS_MODES) {
        const opened = await file.createSyncAccessHandle?.({ mode: 'read-only' }).catch(() => null);
        if (opened) return readHandle(opened);
      }
      return readSlices(await handle.getFile());
    } catch (error) {
      if (isNotFound(error)) return null;
      throw toStorageError(error, `Reading ${name}`);
    }
  }

  /** For reading and writing, creating it. Exclusive: close it. */
  async openSync(name: string): Promise<SyncFile> {
    const handle = (await this.#handle.getFileHandle(name, { create: true }).catch((error: unknown) => {
      throw toStorageError(error, `Creating ${name}`);
    })) as unknown as WorkerFileHandle;
    if (typeof handle.createSyncAccessHandle !== 'function') throw storageUnavailable('Synchronous file access');
    // The handle of a tab that just died may outlive its lock for a moment.
    for (let attempt = 0; ; attempt++) {
      try {
        return await handle.createSyncAccessHandle();
      } catch (error) {
        if (!isBusy(error) || attempt >= OPEN_ATTEMPTS) throw toStorageError(error, `Opening ${name}`);
        await new Promise((resolve) => setTimeout(resolve, OPEN_RETRY_MS));
      }
    }
  }

  /** Moves a closed file into another folder, in place of any older file of that name. */
  async move(name: string, target: OpfsFolder): Promise<void> {
    try {
      const handle = (await this.#handle.getFileHandle(name)) as unknown as WorkerFileHandle;
      if (typeof handle.move !== 'function') throw storageUnavailable('Moving files in the private file system');
      await target.remove(name);
      await handle.move(target.#handle, name);
    } catch (error) {
      throw toStorageError(error, `Moving ${name}`);
    }
  }

  /** False where there was none, or a worker has it open: then it is left for a sweep. */
  async remove(name: string): Promise<boolean> {
    try {
      await this.#handle.removeEntry(name);
      return true;
    } catch (error) {
      if (isNotFound(error) || isBusy(error)) return false;
      throw toStorageError(error, `Removing ${name}`);
    }
  }

  async list(): Promise<readonly StoredFile[]> {
    const files: StoredFile[] = [];
    for await (const handle of this.#handle.values()) {
      if (handle.kind !== 'file') continue;
      const file = await this.get(handle.name);
      if (file) files.push({ key: handle.name, sizeBytes: file.size });
    }
    return files;
  }
}

/** File System Access, FileSystemSyncAccessHandle.mode; the interface exists in dedicated workers only. */
const KNOWS_MODES =
  'mode' in
  ((globalThis as { readonly FileSystemSyncAccessHandle?: { readonly prototype: object } }).FileSystemSyncAccessHandle
    ?.prototype ?? {});

const OPEN_ATTEMPTS = 100;
const OPEN_RETRY_MS = 50;

/** What TypeScript's DOM types lack: worker-only and newer members of a file handle. */
interface WorkerFileHandle {
  createSyncAccessHandle?(options?: { mode: 'read-only' }): Promise<SyncFile>;
  move?(target: FileSystemDirectoryHandle, name: string): Promise<void>;
}

function isBusy(error: unknown): boolean {
  return error instanceof Error && error.name === 'NoModificationAllowedError';
}

function isNotFound(error: unknown): boolean {
  return error instanceof Error && error.name === 'NotFoundError';
}
