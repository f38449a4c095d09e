/**
 * Blobs as files in the origin private file system:
 *
 *     firstlight/blobs/<key>     complete and verified (but only a record makes it so: see records.ts)
 *     firstlight/partial/<key>   half-written, described by a journal
 *     firstlight/prepared/<key>  weights as a device takes them, made from blobs (likewise: see prepared.ts)
 *
 * Runs in a dedicated worker only where it opens partial files (sync access handles exist nowhere else).
 * Miss values: `null` for a file that is not there, `false` for a move or removal of nothing. Whoever opens, moves or
 * removes a file holds its lock (blob-lock.ts), so two tabs never meet here.
 */
import { runThenCleanUp } from '../base/clean-up.ts';
import { tryBlobLock } from './blob-lock.ts';
import { OpfsFolder } from './opfs-folder.ts';
import type { StoredFile, SyncFile } from './opfs-folder.ts';
import type { ReadableFile } from './readable-file.ts';
import { isQuotaError, storageUnavailable, toStorageError } from './storage-error.ts';

/** The folders. */
export class BlobFiles {
  readonly #blobs: OpfsFolder;
  readonly #partial: OpfsFolder;
  readonly prepared: OpfsFolder;

  private constructor(blobs: OpfsFolder, partial: OpfsFolder, prepared: OpfsFolder) {
    this.#blobs = blobs;
    this.#partial = partial;
    this.prepared = prepared;
  }

  /** @throws LoadError `storage_unavailable` where the browser has no private file system, or none for this window. */
  static async open(folder = 'firstlight'): Promise<BlobFiles> {
    const storage = globalThis.navigator.storage as StorageManager | undefined;
    if (typeof storage?.getDirectory !== 'function') throw storageUnavailable('The private file system');
    try {
      const root = await (await storage.getDirectory()).getDirectoryHandle(folder, { create: true });
      return new BlobFiles(
        await OpfsFolder.open(root, 'blobs'),
        await OpfsFolder.open(root, 'partial'),
        await OpfsFolder.open(root, 'prepared'),
      );
    } catch (error) {
      throw storageUnavailable('The private file system', error);
    }
  }

  /** A complete blob's file; null where there is none. */
  async getBlob(key: string): Promise<File | null> {
    return this.#blobs.get(key);
  }

  /** A complete blob, open for reading in this worker; null where there is none. Close it. */
  async openBlob(key: string): Promise<ReadableFile | null> {
    return this.#blobs.openReadable(key);
  }

  /** Size of a half-written file; null where there is none. */
  async getPartialSize(key: string): Promise<number | null> {
    return (await this.#partial.get(key))?.size ?? null;
  }

  /** Opens a half-written file for reading and writing, creating it. Exclusive: close it. */
  async openPartial(key: string): Promise<SyncFile> {
    return this.#partial.openSync(key);
  }

  /** Makes a closed half-written file the blob, in place of any older file of that name. */
  async promote(key: string): Promise<void> {
    await this.#partial.move(key, this.#blobs);
  }

  /** Makes a blob's file half-written again; false where there is none. */
  async demote(key: string): Promise<boolean> {
    if (!(await this.#blobs.get(key))) return false;
    await this.#blobs.move(key, this.#partial);
    return true;
  }

  /** False where there was none. */
  async removeBlob(key: string): Promise<boolean> {
    return this.#blobs.remove(key);
  }

  /** False where there was none. */
  async removePartial(key: string): Promise<boolean> {
    return this.#partial.remove(key);
  }

  /**
   * How many of so many more bytes the browser would take, found out by asking for them: one byte is written so far into a scratch
   * file, which is then removed. Exact where all fit, else by halving, to a 4,096th.
   */
  async findRoom(sizeBytes: number): Promise<number> {
    const name = `room-${crypto.randomUUID()}`;
    // Under a lock like every partial file, so that another tab's sweep leaves it alone.
    const find = async (): Promise<number> => {
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
      }
    };
    const found = await tryBlobLock(name, () => runThenCleanUp(find, () => this.removePartial(name)));
    return found ?? sizeBytes;
  }

  async listBlobs(): Promise<readonly StoredFile[]> {
    return this.#blobs.list();
  }

  async listPartial(): Promise<readonly StoredFile[]> {
    return this.#partial.list();
  }
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
