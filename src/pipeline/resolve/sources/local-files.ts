/**
 * Files on this computer behind the interface of the fetch stage: read in place, never copied.
 *
 * In: files of one folder. Out: {@link SnapshotFiles}. Guarantees: exactly the bytes that were asked for, or a typed error
 * that says whether the file changed, is gone or may not be read; nothing crosses the network and nothing is kept.
 */
import { raceAbort, throwIfAborted } from '../../../base/abort.ts';
import type { DownloadSummary, FileStatus } from '../../../contract/cache.ts';
import { isLoadError, LoadError } from '../../../contract/errors.ts';
import { readSlices } from '../../../store/readable-file.ts';
import type { ReadableFile } from '../../../store/readable-file.ts';
import type { DownloadOutlook } from '../../fetch/download.ts';
import type { CallOptions, DownloadOptions, SnapshotFiles } from '../../fetch/service.ts';
import type { RangeWant } from '../../fetch/want-list.ts';
import { describeReadFailure, fileChanged } from './local-read-error.ts';

/** One file, as it was when the folder was listed. */
export interface OpenedFile {
  /** A snapshot: reading it fails once the file on disk is another one. */
  readonly file: File;
  /** The file as it is now; null where there is no handle to ask. */
  readonly reopen: (() => Promise<File>) | null;
}

/** See the file's header. */
export class LocalFiles implements SnapshotFiles {
  readonly #files: ReadonlyMap<string, OpenedFile>;
  readonly #close = new AbortController();

  /** By path below the model's root. */
  constructor(files: ReadonlyMap<string, OpenedFile>) {
    this.#files = files;
  }

  async readAll(path: string, options: CallOptions = {}): Promise<Uint8Array<ArrayBuffer>> {
    return this.#read(path, 0, this.#get(path).file.size, options);
  }

  async readRange(
    path: string,
    start: number,
    end: number,
    options: CallOptions = {},
  ): Promise<Uint8Array<ArrayBuffer>> {
    const sizeBytes = this.#get(path).file.size;
    if (!(Number.isSafeInteger(start) && Number.isSafeInteger(end) && 0 <= start && start <= end && end <= sizeBytes)) {
      throw new LoadError('invalid_argument', {
        message: `${path} has no bytes ${start} to ${end}; it has ${sizeBytes}.`,
        detail: { path, start, end, sizeBytes },
      });
    }
    return this.#read(path, start, end, options);
  }

  /** Everything is here already. */
  waitRange(path: string, { start, end }: RangeWant, options?: CallOptions): Promise<Uint8Array<ArrayBuffer>> {
    return this.readRange(path, start, end, options);
  }

  async status(paths: readonly string[]): Promise<readonly FileStatus[]> {
    return paths.map((path) => {
      const sizeBytes = this.#get(path).file.size;
      return { path, sizeBytes, cachedBytes: sizeBytes, complete: true };
    });
  }

  /** Nothing is kept, so nothing is short. */
  async foresee(paths: readonly string[]): Promise<DownloadOutlook> {
    return { statuses: await this.status(paths), shortage: null };
  }

  async download(paths: readonly string[], options: DownloadOptions = {}): Promise<DownloadSummary> {
    throwIfAborted(this.#bind(options));
    const totalBytes = paths.reduce((sum, path) => sum + this.#get(path).file.size, 0);
    options.onProgress?.({ doneBytes: totalBytes, totalBytes, networkBytes: 0 });
    return { totalBytes, networkBytes: 0, cachedBytes: totalBytes, restarted: [], notices: [] };
  }

  receivedBytes(): Promise<number> {
    return Promise.resolve(0);
  }

  /** The file itself; proved to be still readable. */
  async openBlob(path: string): Promise<ReadableFile> {
    const { file } = this.#get(path);
    await this.#read(path, 0, Math.min(1, file.size), {});
    return readSlices(file);
  }

  async close(): Promise<void> {
    this.#close.abort(new LoadError('disposed'));
  }

  async #read(path: string, start: number, end: number, options: CallOptions): Promise<Uint8Array<ArrayBuffer>> {
    const { file, reopen } = this.#get(path);
    try {
      const buffer = await raceAbort(file.slice(start, end).arrayBuffer(), this.#bind(options));
      // Not every browser and file system notices by itself; asking again costs less than a millisecond.
      if (reopen && !isSame(await reopen(), file)) throw fileChanged(path, WRITTEN, true);
      if (buffer.byteLength === end - start) return new Uint8Array(buffer);
    } catch (error) {
      throw isLoadError(error) ? error : await explain(path, file, reopen, error);
    }
    throw fileChanged(path, 'is shorter than when its folder was listed', reopen !== null);
  }

  #bind({ signal }: CallOptions): AbortSignal {
    return signal ? AbortSignal.any([signal, this.#close.signal]) : this.#close.signal;
  }

  #get(path: string): OpenedFile {
    const opened = this.#files.get(path);
    if (opened) return opened;
    throw new LoadError('file_not_found', { message: `The folder has no file "${path}".`, detail: { path } });
  }
}

const WRITTEN = 'was written to meanwhile';

function isSame(a: File, b: File): boolean {
  return a.size === b.size && a.lastModified === b.lastModified;
}

/**
 * Browsers refuse to read a file that is not the one they listed (File API, "snapshot state"), but say no more than
 * `NotReadableError`. A handle can be asked what became of it.
 */
async function explain(path: string, file: File, reopen: OpenedFile['reopen'], error: unknown): Promise<LoadError> {
  if (reopen) {
    try {
      const same = isSame(await reopen(), file);
      return same ? describeReadFailure(path, error) : fileChanged(path, WRITTEN, true, error);
    } catch (reason) {
      return describeReadFailure(path, reason);
    }
  }
  const isStale = error instanceof Error && error.name === 'NotReadableError';
  if (!isStale) return describeReadFailure(path, error);
  return fileChanged(path, 'changed or became unreadable after it was chosen: choose the folder again', false, error);
}
