/**
 * Complete prepared weights being read, under their shared lock.
 *
 * In: a record and its file. Out: bytes. Guarantees: no byte is passed on whose hash is not the recorded one; in passing
 * through, two reads of some MiB are in memory at most, one of them ahead of whoever takes the bytes.
 */
import { ReadMemory } from '../base/read-memory.ts';
import { LoadError } from '../contract/errors.ts';
import type { FastHash } from './hashing.ts';
import { createFastHash } from './hashing.ts';
import type { PreparedPiece, PreparedRecord } from './prepared-record.ts';
import { gatherPieces } from './prepared-record.ts';
import type { ReadableFile } from './readable-file.ts';
import { toStorageError } from './storage-error.ts';

/** Bytes `[start, end)` of the file. */
export interface PreparedBytes {
  readonly start: number;
  readonly end: number;
  readonly bytes: Uint8Array<ArrayBuffer>;
}

/** See the file's header. Every read may throw LoadError `integrity_mismatch` and `storage_failed`. */
export class PreparedReader {
  readonly record: PreparedRecord;
  readonly #file: ReadableFile;
  readonly #hash: FastHash;
  readonly #release: () => void;

  private constructor(record: PreparedRecord, file: ReadableFile, hash: FastHash, release: () => void) {
    this.record = record;
    this.#file = file;
    this.#hash = hash;
    this.#release = release;
  }

  /** Takes over the file; `release` gives the lock back. */
  static async open(record: PreparedRecord, file: ReadableFile, release: () => void): Promise<PreparedReader> {
    try {
      return new PreparedReader(record, file, await createFastHash(), release);
    } catch (error) {
      file.close();
      throw error;
    }
  }

  /** The whole file, in order; bytes are good until the next are asked for. */
  async *readAll(): AsyncGenerator<PreparedBytes> {
    const groups = gatherPieces(this.record.pieces, MAX_READ_BYTES);
    const reads = new ReadMemory(MAX_READ_BYTES);
    const startRead = (index: number): Promise<Uint8Array<ArrayBuffer>> | null => {
      const group = groups[index];
      if (!group) return null;
      const reading = this.#read(group[0].start, endOf(group), reads);
      // It is awaited only after the bytes before it were taken; until then a failure must not count as unhandled.
      reading.catch(() => undefined);
      return reading;
    };
    let ahead = startRead(0);
    try {
      for (const [index, group] of groups.entries()) {
        const bytes = (await ahead) ?? new Uint8Array();
        ahead = startRead(index + 1);
        this.#check(group, bytes);
        yield { start: group[0].start, end: endOf(group), bytes };
      }
    } finally {
      await ahead?.catch(() => undefined);
    }
  }

  /** Bytes `[start, end)`, which must begin and end where pieces do. Dedicated workers only. */
  readSync(start: number, end: number): Uint8Array<ArrayBuffer> {
    const pieces = this.record.pieces.filter((piece) => piece.start >= start && piece.end <= end);
    const [first, ...others] = pieces;
    if (first?.start !== start || endOf([first, ...others]) !== end)
      throw this.#damaged(start, 'is laid out otherwise');
    let bytes: Uint8Array<ArrayBuffer>;
    try {
      bytes = this.#file.readSync(start, end);
    } catch (error) {
      throw toStorageError(error, `Reading ${this.record.key}`);
    }
    this.#check([first, ...others], bytes);
    return bytes;
  }

  /** Closes the file and gives the lock back. */
  close(): void {
    this.#file.close();
    this.#release();
  }

  async #read(start: number, end: number, reads: ReadMemory): Promise<Uint8Array<ArrayBuffer>> {
    try {
      const memory = reads.take(end - start);
      const bytes = await this.#file.read(start, end, memory);
      reads.give(memory);
      return bytes;
    } catch (error) {
      throw toStorageError(error, `Reading ${this.record.key}`);
    }
  }

  #check(pieces: readonly [PreparedPiece, ...PreparedPiece[]], bytes: Uint8Array): void {
    const [{ start: origin }] = pieces;
    if (bytes.length !== endOf(pieces) - origin) throw this.#damaged(origin, `has only ${bytes.length} bytes there`);
    for (const { start, end, hash } of pieces) {
      const actual = this.#hash(bytes.subarray(start - origin, end - origin));
      if (actual !== hash) throw this.#damaged(start, `has the hash ${actual} instead of ${hash}`);
    }
  }

  #damaged(start: number, what: string): LoadError {
    const { key, dtype } = this.record;
    return new LoadError('integrity_mismatch', {
      stage: 'fill',
      message: `The file of prepared ${dtype} weights ${what} (at byte ${start}).`,
      detail: { key, start },
    });
  }
}

/** Larger reads gain nothing measurable. */
const MAX_READ_BYTES = 4 * 2 ** 20;

function endOf(pieces: readonly [PreparedPiece, ...PreparedPiece[]]): number {
  return (pieces.at(-1) ?? pieces[0]).end;
}
