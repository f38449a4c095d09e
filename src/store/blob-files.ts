/**
 * Blobs as files in the origin private file system:
 *
 *     firstlight/blobs/<key>     complete and verified (but only a record makes it so: see records.ts)
 *     firstlight/partial/<key>   half-written, described by a journal
 *
 * Runs in a dedicated worker only where it opens partial files (sync access handles exist nowhere else).
 * Miss values: `null` for a file that is not there, `false` for a move or removal of nothing. Whoever opens, moves or
 * removes a file holds that blob's lock (blob-lock.ts), so two tabs never meet here.
 */
import { tryBlobLock } from './blob-lock.ts';
import { isQuotaError, storageUnavailable, toStorageError } from './storage-error.ts';

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

/** The two folders. */
export class BlobFiles {
  readonly #blobs: FileSystemDirectoryHandle;
  readonly #partial: FileSystemDirectoryHandle;

  private constructor(blobs: FileSystemDirectoryHandle, partial: FileSystemDirectoryHandle) {
    this.#blobs = blobs;
    this.#partial = partial;
  }

  /** @throws LoadError `storage_unavailable` where the browser has no private file system, or none for this window. */
  static async open(folder = 'firstlight'): Promise<BlobFiles> {
    const storage = globalThis.navigator.storage as StorageManager | undefined;
    if (typeof storage?.getDirectory !== 'function') throw storageUnavailable('The private file system');
    try {
      const root = await (await storage.getDirectory()).getDirectoryHandle(folder, { create: true });
      return new BlobFiles(
        await root.getDirectoryHandle('blobs', { create: true }),
        await root.getDirectoryHandle('partial', { create: true }),
      );
    } catch (error) {
      throw storageUnavailable('The private file system', error);
    }
  }

  /** A complete blob's file; null where there is none. */
  async getBlob(key: string): Promise<File | null> {
    return getFile(this.#blobs, key);
  }

  /** Size of a half-written file; null where there is none. */
  async getPartialSize(key: string): Promise<number | null> {
    return (await getFile(this.#partial, key))?.size ?? null;
  }

  /** Opens a half-written file for reading and writing, creating it. Exclusive: close it. */
  async openPartial(key: string): Promise<SyncFile> {
    const handle = (await this.#partial.getFileHandle(key, { create: true }).catch((error: unknown) => {
      throw toStorageError(error, `Creating ${key}`);
    })) as unknown as WorkerFileHandle;
    if (typeof handle.createSyncAccessHandle !== 'function') throw storageUnavailable('Synchronous file access');
    // The handle of a tab that just died may outlive its lock for a moment.
    for (let attempt = 0; ; attempt++) {
      try {
        return await handle.createSyncAccessHandle();
      } catch (error) {
        const busy = error instanceof Error && error.name === 'NoModificationAllowedError';
        if (!busy || attempt >= OPEN_ATTEMPTS) throw toStorageError(error, `Opening ${key}`);
        await new Promise((resolve) => setTimeout(resolve, OPEN_RETRY_MS));
      }
    }
  }

  /** Makes a closed half-written file the blob, in place of any older file of that name. */
  async promote(key: string): Promise<void> {
    await moveFile(this.#partial, this.#blobs, key);
  }

  /** Makes a blob's file half-written again; false where there is none. */
  async demote(key: string): Promise<boolean> {
    if (!(await getFile(this.#blobs, key))) return false;
    await moveFile(this.#blobs, this.#partial, key);
    return true;
  }

  /** False where there was none. */
  async removeBlob(key: string): Promise<boolean> {
    return removeFile(this.#blobs, key);
  }

  /** False where there was none. */
  async removePartial(key: string): Promise<boolean> {
    return removeFile(this.#partial, key);
  }

  /**
   * How many of so many more bytes the browser would take, found out by asking for them: one byte is written so far into a scratch
   * file, which is then removed. Exact where all fit, else by halving, to a 4,096th.
   */
  async findRoom(sizeBytes: number): Promise<number> {
    const name = `room-${crypto.randomUUID()}`;
    // Under a lock like every partial file, so that another tab's sweep leaves it alone.
    const found = await tryBlobLock(name, async () => {
      try {
        const file = await this.openPartial(name);
        try {
          return stretch(file, sizeBytes);
        } finally {
          file.close();
        }
      } catch (error) {
        // Not even an empty file.
        if (isQuotaError(error)) return 0;
        throw error;
      } finally {
        await this.removePartial(name);
      }
    });
    return found ?? sizeBytes;
  }

  async listBlobs(): Promise<readonly StoredFile[]> {
    return listFiles(this.#blobs);
  }

  async listPartial(): Promise<readonly StoredFile[]> {
    return listFiles(this.#partial);
  }
}

const OPEN_ATTEMPTS = 100;
const OPEN_RETRY_MS = 50;

/** What TypeScript's DOM types lack: worker-only and newer members of a file handle. */
interface WorkerFileHandle {
  createSyncAccessHandle?(): Promise<SyncFile>;
  move?(target: FileSystemDirectoryHandle, name: string): Promise<void>;
}

/** The scratch file is empty again afterwards: Chromium's account of a closed file lags behind. */
function stretch(file: SyncFile, sizeBytes: number): number {
  const lastByte = new Uint8Array(1);
  const fits = (bytes: number): boolean => {
    if (bytes === 0) return true;
    try {
      // Not truncate: Chromium 156 takes a second a gigabyte for it, and says nothing where the quota is exceeded.
      return file.write(lastByte, { at: bytes - 1 }) === 1;
    } catch (error) {
      if (isQuotaError(error)) return false;
      throw toStorageError(error, 'Asking for room');
    } finally {
      file.truncate(0);
    }
  };
  if (fits(sizeBytes)) return sizeBytes;
  let [low, high] = [0, sizeBytes];
  while (high - low > Math.max(1, sizeBytes / 4096)) {
    const middle = Math.floor((low + high) / 2);
    if (fits(middle)) low = middle;
    else high = middle;
  }
  return low;
}

async function getFile(folder: FileSystemDirectoryHandle, name: string): Promise<File | null> {
  try {
    return await (await folder.getFileHandle(name)).getFile();
  } catch (error) {
    if (isNotFound(error)) return null;
    throw toStorageError(error, `Reading ${name}`);
  }
}

async function moveFile(from: FileSystemDirectoryHandle, to: FileSystemDirectoryHandle, name: string): Promise<void> {
  try {
    const handle = (await from.getFileHandle(name)) as unknown as WorkerFileHandle;
    if (typeof handle.move !== 'function') throw storageUnavailable('Moving files in the private file system');
    await removeFile(to, name);
    await handle.move(to, name);
  } catch (error) {
    throw toStorageError(error, `Moving ${name}`);
  }
}

async function removeFile(folder: FileSystemDirectoryHandle, name: string): Promise<boolean> {
  try {
    await folder.removeEntry(name);
    return true;
  } catch (error) {
    if (isNotFound(error)) return false;
    throw toStorageError(error, `Removing ${name}`);
  }
}

async function listFiles(folder: FileSystemDirectoryHandle): Promise<readonly StoredFile[]> {
  const files: StoredFile[] = [];
  for await (const handle of folder.values()) {
    if (handle.kind !== 'file') continue;
    const file = await getFile(folder, handle.name);
    if (file) files.push({ key: handle.name, sizeBytes: file.size });
  }
  return files;
}

function isNotFound(error: unknown): boolean {
  return error instanceof Error && error.name === 'NotFoundError';
}
