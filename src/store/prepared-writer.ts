/**
 * Prepared weights being written, under their exclusive lock.
 *
 * In: the bytes of the file, in any order, each once. Out: a file and its record, or nothing. Guarantees: each byte is
 * hashed as it is written; the record follows the flushed bytes and claims no gap; discarded or failed, nothing is left.
 * Synchronous writes are the backpressure: whoever brings bytes waits until the browser has them. Dedicated workers only.
 */
import { LoadError } from '../contract/errors.ts';
import type { BlobFiles } from './blob-files.ts';
import type { FastHash } from './hashing.ts';
import { createFastHash } from './hashing.ts';
import type { SyncFile } from './opfs-folder.ts';
import type { PreparedContent, PreparedPiece } from './prepared-record.ts';
import { joinPieces } from './prepared-record.ts';
import type { CacheRecords } from './records.ts';
import { toStorageError } from './storage-error.ts';

/** What a writer is made from; it gives the lock back by itself. */
export interface PreparedWriterParts {
  readonly files: BlobFiles;
  readonly records: CacheRecords;
  readonly content: PreparedContent;
  readonly release: () => void;
}

/** See the file's header. */
export class PreparedWriter {
  readonly #parts: PreparedWriterParts;
  readonly #file: SyncFile;
  readonly #hash: FastHash;
  readonly #pieces: PreparedPiece[] = [];
  #open = true;
  #recorded = false;

  private constructor(parts: PreparedWriterParts, file: SyncFile, hash: FastHash) {
    this.#parts = parts;
    this.#file = file;
    this.#hash = hash;
  }

  static async open(parts: PreparedWriterParts): Promise<PreparedWriter> {
    const hash = await createFastHash();
    const file = await parts.files.prepared.openSync(parts.content.key);
    try {
      file.truncate(0); // what a killed tab left
    } catch (error) {
      file.close();
      throw toStorageError(error, `Emptying ${parts.content.key}`);
    }
    return new PreparedWriter(parts, file, hash);
  }

  /** @throws LoadError `quota_exceeded`, `storage_failed`; then only {@link discard} is left to do */
  write(offset: number, bytes: Uint8Array): void {
    for (let at = 0; at < bytes.length; at += MAX_PIECE_BYTES) {
      const piece = bytes.subarray(at, at + MAX_PIECE_BYTES);
      const start = offset + at;
      this.#writePiece(piece, start);
      this.#pieces.push({ start, end: start + piece.length, hash: this.#hash(piece) });
    }
  }

  /** Flushes, closes, records. @throws LoadError `quota_exceeded`, `storage_failed`, `internal` (bytes are missing or doubled) */
  async commit(): Promise<void> {
    const { records, content } = this.#parts;
    const pieces = joinPieces(this.#pieces, content.sizeBytes);
    if (!pieces) {
      throw new LoadError('internal', {
        message: `The prepared weights ${content.key} were not written byte for byte.`,
      });
    }
    try {
      this.#file.flush();
    } catch (error) {
      throw toStorageError(error, `Flushing ${content.key}`);
    }
    this.#file.close();
    this.#open = false;
    await records.change([{ kind: 'prepared', key: content.key, value: { ...content, pieces, usedAtMs: Date.now() } }]);
    this.#recorded = true;
    this.#parts.release();
  }

  /** Removes the file. Does nothing once the weights were recorded. */
  async discard(): Promise<void> {
    const { files, content, release } = this.#parts;
    if (this.#recorded) return;
    try {
      if (this.#open) this.#empty();
      await files.prepared.remove(content.key);
    } finally {
      release();
    }
  }

  #empty(): void {
    this.#open = false;
    try {
      this.#file.truncate(0); // now, not when the browser gets round to it: whoever ran out of room waits for it
    } catch {
      // On a disk that is full or failing even this may fail. The file goes all the same.
    } finally {
      this.#file.close();
    }
  }

  #writePiece(piece: Uint8Array, start: number): void {
    let writtenBytes: number;
    try {
      writtenBytes = this.#file.write(piece, { at: start });
    } catch (error) {
      throw toStorageError(error, `Writing ${this.#parts.content.key}`);
    }
    if (writtenBytes !== piece.length) {
      throw new LoadError('quota_exceeded', { message: 'The browser took only a part of the prepared weights.' });
    }
  }
}

/** A reader checks whole pieces before it passes them on, so a piece is memory. */
const MAX_PIECE_BYTES = 4 * 2 ** 20;
