/**
 * A half-written blob under its lock: bytes in, a verified blob out.
 *
 * The order that makes a crash harmless: bytes are written at their offset and counted; flushed; then journalled. When all
 * are there and hashed to what was announced: flushed, closed, moved to the blobs, and only then recorded, in the same
 * transaction that deletes the journal. Killed between any two of these steps, the next `open` finds either the journal
 * (and goes on) or the record (and is done).
 * The hash follows the bytes: in passing where they arrive in order, by re-reading where they came early.
 */
import { LoadError } from '../contract/errors.ts';
import type { ContentHash } from '../contract/snapshot.ts';
import type { BlobFiles, SyncFile } from './blob-files.ts';
import { createStreamHash } from './hashing.ts';
import type { StreamHash } from './hashing.ts';
import { addInterval, contiguousEnd, countBytes, coversInterval } from './intervals.ts';
import type { Interval } from './intervals.ts';
import { readJournal } from './journal.ts';
import type { BlobRecord, CacheRecords } from './records.ts';
import { toStorageError } from './storage-error.ts';

/** Which blob, and where it is kept. */
export interface PartialBlobOptions {
  readonly files: BlobFiles;
  readonly records: CacheRecords;
  readonly key: string;
  readonly sizeBytes: number;
  /** Null where none is announced: the sha256 is computed and recorded. */
  readonly hash: ContentHash | null;
  /** Bytes between two journal records. */
  readonly checkpointBytes: number;
}

/** See the file's header. The blob's lock must be held from `open` to `close`, `finish` or `discard`. */
export class PartialBlob {
  readonly #options: PartialBlobOptions;
  #file: SyncFile;
  #intervals: readonly Interval[];
  #hash: StreamHash;
  #validator: string | null;
  #bytesSinceCheckpoint = 0;
  #checkpoint: Promise<void> | null = null;
  #closed = false;

  private constructor(
    options: PartialBlobOptions,
    file: SyncFile,
    state: { readonly intervals: readonly Interval[]; readonly hash: StreamHash; readonly validator: string | null },
  ) {
    this.#options = options;
    this.#file = file;
    this.#intervals = state.intervals;
    this.#hash = state.hash;
    this.#validator = state.validator;
  }

  /** Opens what an earlier attempt left, or an empty file. */
  static async open(options: PartialBlobOptions): Promise<PartialBlob> {
    const { files, records, key, sizeBytes, hash } = options;
    const saved = await records.getJournal(key);
    // A blob file without a record: killed between the move and the record. Its journal says what to make of it.
    const partialBytes = await files.getPartialSize(key);
    if (partialBytes === null && saved !== null) await files.demote(key);
    else await files.removeBlob(key);
    const file = await files.openPartial(key);
    try {
      const fileBytes = file.getSize();
      const journal = readJournal(saved, sizeBytes, fileBytes);
      if (fileBytes > sizeBytes) file.truncate(sizeBytes);
      const stream = await createStreamHash(hash?.algorithm ?? 'sha256', sizeBytes, journal.hash);
      return new PartialBlob(options, file, {
        intervals: journal.intervals,
        hash: stream,
        validator: journal.etag,
      });
    } catch (error) {
      file.close();
      throw toStorageError(error, `Opening ${key}`);
    }
  }

  /** What is on disk. */
  get intervals(): readonly Interval[] {
    return this.#intervals;
  }

  get doneBytes(): number {
    return countBytes(this.#intervals);
  }

  get isFull(): boolean {
    return coversInterval(this.#intervals, 0, this.#options.sizeBytes);
  }

  /** Identifies the server's version of the file; kept with the journal. */
  get validator(): string | null {
    return this.#validator;
  }

  set validator(value: string | null) {
    this.#validator = value;
  }

  /**
   * Writes bytes at their offset. @throws LoadError `quota_exceeded` where the disk takes fewer than given.
   */
  write(offset: number, bytes: Uint8Array): void {
    const { key } = this.#options;
    let written: number;
    try {
      written = this.#file.write(bytes, { at: offset });
    } catch (error) {
      throw toStorageError(error, `Writing ${key}`);
    }
    if (written !== bytes.byteLength) {
      throw new LoadError('quota_exceeded', {
        message: `The browser refused ${bytes.byteLength} bytes at ${offset}: no room is left.`,
        detail: { key, offset },
      });
    }
    this.#intervals = addInterval(this.#intervals, offset, offset + written);
    this.#bytesSinceCheckpoint += written;
    if (offset === this.#hash.hashedBytes) this.#hash.update(bytes);
    else this.#hashPiece();
  }

  /** Bytes that are on disk. */
  read(start: number, end: number): Uint8Array<ArrayBuffer> {
    const target = new Uint8Array(end - start);
    let count: number;
    try {
      count = this.#file.read(target, { at: start });
    } catch (error) {
      throw toStorageError(error, `Reading ${this.#options.key}`);
    }
    if (count !== target.byteLength) {
      throw new LoadError('storage_failed', {
        message: `The cache file ${this.#options.key} ended after ${start + count} bytes.`,
        retryable: true,
      });
    }
    return target;
  }

  /** Journals if enough was written since the last time; a writer that awaits this never runs far ahead of the journal. */
  async checkpointIfDue(): Promise<void> {
    if (this.#bytesSinceCheckpoint < this.#options.checkpointBytes) return;
    if (!this.#checkpoint) void this.checkpoint().catch(() => undefined);
    else if (this.#bytesSinceCheckpoint > 2 * this.#options.checkpointBytes)
      await this.#checkpoint.catch(() => undefined);
  }

  /** Flushes, then journals what was on disk before the flush. */
  async checkpoint(): Promise<void> {
    while (this.#checkpoint) await this.#checkpoint.catch(() => undefined);
    if (this.#closed) return;
    this.#checkpoint = this.#writeJournal();
    try {
      await this.#checkpoint;
    } finally {
      this.#checkpoint = null;
    }
  }

  /**
   * Verifies, moves and records the full blob; the object is closed afterwards.
   * @throws LoadError `integrity_mismatch` (still open: reset or discard it)
   */
  async finish(): Promise<BlobRecord> {
    const { files, records, key, sizeBytes, hash } = this.#options;
    while (this.#hash.hashedBytes < sizeBytes) {
      this.#hashPiece();
      await yieldToEvents();
    }
    // Digesting ends the hash, and a kill from here on needs its state to go on without re-reading.
    await this.checkpoint();
    const actual = this.#hash.digest();
    if (hash && actual !== hash.hex) {
      throw new LoadError('integrity_mismatch', {
        message: `Expected ${hash.algorithm} ${hash.hex}, got ${actual}.`,
        retryable: true,
        detail: { key, algorithm: hash.algorithm, expected: hash.hex, actual },
      });
    }
    await this.#closeFile();
    const record: BlobRecord = {
      key,
      sizeBytes,
      hash: hash ?? { algorithm: 'sha256', hex: actual },
      verifiedAtMs: Date.now(),
    };
    await files.promote(key);
    await records.change([
      { kind: 'blob', key, value: record },
      { kind: 'journal', key, value: null },
    ]);
    return record;
  }

  /** Forgets every byte and starts over, still open. */
  async reset(): Promise<void> {
    const { records, key, sizeBytes, hash } = this.#options;
    while (this.#checkpoint) await this.#checkpoint.catch(() => undefined);
    await records.change([{ kind: 'journal', key, value: null }]);
    this.#file.truncate(0);
    this.#intervals = [];
    this.#validator = null;
    this.#bytesSinceCheckpoint = 0;
    this.#hash = await createStreamHash(hash?.algorithm ?? 'sha256', sizeBytes, null);
  }

  /** Journals what is there and closes. Never throws: an older journal stays true. */
  async close(): Promise<void> {
    if (this.#closed) return;
    if (this.#intervals.length > 0) await this.checkpoint().catch(() => undefined);
    await this.#closeFile();
  }

  /** Closes and removes journal and file. */
  async discard(): Promise<void> {
    const { files, records, key } = this.#options;
    await this.#closeFile();
    await records.change([{ kind: 'journal', key, value: null }]);
    await files.removePartial(key);
  }

  async #writeJournal(): Promise<void> {
    const { records, key, sizeBytes } = this.#options;
    const journal = {
      sizeBytes,
      etag: this.#validator,
      intervals: this.#intervals,
      hash: this.#hash.save(),
      updatedAtMs: Date.now(),
    };
    this.#bytesSinceCheckpoint = 0;
    try {
      this.#file.flush();
    } catch (error) {
      throw toStorageError(error, `Flushing ${key}`);
    }
    await records.change([{ kind: 'journal', key, value: journal }]);
  }

  /** Hashes the next bytes that are on disk but came before their turn, a bounded number at a time. */
  #hashPiece(): void {
    const start = this.#hash.hashedBytes;
    const end = Math.min(contiguousEnd(this.#intervals, start), start + HASH_PIECE_BYTES);
    if (start < end) this.#hash.update(this.read(start, end));
  }

  async #closeFile(): Promise<void> {
    if (this.#closed) return;
    while (this.#checkpoint) await this.#checkpoint.catch(() => undefined);
    this.#closed = true;
    this.#file.close();
  }
}

/** Large enough to overtake the network, small enough not to hold up the connections. */
const HASH_PIECE_BYTES = 1024 * 1024;

/** Lets messages and network chunks in; a timer would cost 4 ms each time. */
function yieldToEvents(): Promise<void> {
  return new Promise((resolve) => {
    const { port1, port2 } = new MessageChannel();
    port1.onmessage = () => {
      port1.close();
      resolve();
    };
    port2.postMessage(null);
  });
}
