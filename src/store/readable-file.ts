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
  /** Bytes `[start, end)`; at the start of `memory` where the way to read allows it, since new memory takes as long as the read. */
  read(start: number, end: number, memory?: ArrayBuffer): Promise<Uint8Array<ArrayBuffer>>;
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
  const fill = (memory: ArrayBuffer, start: number, end: number): Uint8Array<ArrayBuffer> =>
    new Uint8Array(memory, 0, handle.read(new Uint8Array(memory, 0, end - start), { at: start }));
  return {
    sizeBytes,
    read(start, end, memory = new ArrayBuffer(end - start)) {
      try {
        return Promise.resolve(fill(memory, start, end));
      } catch (error) {
        return Promise.reject(error);
      }
    },
    readSync: (start, end) => fill(new ArrayBuffer(end - start), start, end),
    close: () => handle.close(),
  };
}
