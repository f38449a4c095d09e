/**
 * A file of the private file system, open for reading from any place. Dedicated workers only.
 *
 * Two ways to the same bytes: a handle that reads where it stands, where the browser lets several tabs read one file so (Chromium
 * since 121); else slices of a `File`, each of which costs a message to the browser's process and back: 4 to 5 times as long.
 */
import type { SyncFile } from './opfs-folder.ts';

/** Declared here because the DOM's types leave it to workers. */
declare const FileReaderSync: new () => { readAsArrayBuffer(part: Blob): ArrayBuffer };

/** See the file's header. A read beyond the end yields fewer bytes. Browsers' own errors are passed on as they are. */
export interface ReadableFile {
  readonly sizeBytes: number;
  /** Bytes `[start, end)`; they may be overwritten by the read after the next. */
  read(start: number, end: number): Promise<Uint8Array<ArrayBuffer>>;
  /** The same at once, in an array of their own. */
  readSync(start: number, end: number): Uint8Array<ArrayBuffer>;
  close(): void;
}

/** Reads slices of a file. */
export function readSlices(file: File): ReadableFile {
  return {
    sizeBytes: file.size,
    read: async (start, end) => new Uint8Array(await file.slice(start, end).arrayBuffer()),
    readSync: (start, end) => new Uint8Array(new FileReaderSync().readAsArrayBuffer(file.slice(start, end))),
    close: () => undefined,
  };
}

/** Reads through a handle, which it takes over. */
export function readHandle(handle: SyncFile): ReadableFile {
  const sizeBytes = handle.getSize();
  // New memory for each read would take as long as the read.
  let [next, last] = [new Uint8Array(), new Uint8Array()];
  const fill = (target: Uint8Array<ArrayBuffer>, start: number): Uint8Array<ArrayBuffer> =>
    target.subarray(0, handle.read(target, { at: start }));
  return {
    sizeBytes,
    read(start, end) {
      [next, last] = [last, next];
      if (next.length < end - start) next = new Uint8Array(end - start);
      try {
        return Promise.resolve(fill(next.subarray(0, end - start), start));
      } catch (error) {
        return Promise.reject(error);
      }
    },
    readSync: (start, end) => fill(new Uint8Array(end - start), start),
    close: () => handle.close(),
  };
}
