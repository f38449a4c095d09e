/**
 * A half-written blob under its lock: bytes in, a verified blob out.
 *
 * The order that makes a crash harmless: bytes are written at their offset and counted; flushed; then journalled. When all
 * are there and hashed to what was announced: flushed, closed, moved to the blobs, and only then recorded, in the same
 * transaction that deletes the journal. Killed between any two of these steps, the next `open` finds either the journal
 * (and goes on) or the record (and is done).
 * The hash follows the bytes: in passing where they arrive in order, by re-reading where they came early.
 */
import { yieldToEvents } from '../base/abort.ts';
import type { BufferPool } from '../base/buffer-pool.ts';
import { LoadError } from '../contract/errors.ts';
import type { ContentHash } from '../contract/snapshot.ts';
import type { BlobFiles } from './blob-files.ts';
import type { SyncFile } from './opfs-folder.ts';
import type { FileHasher, HasherFactory } from './file-hasher.ts';
import { addInterval, contiguousEnd, countBytes, coversInterval } from './intervals.ts';
import type { Interval } from './intervals.ts';
import { checkHash } from './hashing.ts';
import { readJournal } from './journal.ts';
import type { BlobRecord, CacheRecords } from './records.ts';
import { toStorageError } from './storage-error.ts';

/** Which blob, and where it is kept. */
export interface PartialBlobOptions {
  readonly files: BlobFiles;
  readonly records: CacheRecords;
  readonly hashers: HasherFactory;
  /** Where bytes go that were written and need no hashing any more. */
  readonly buffers: BufferPool;
  readonly key: string;
  readonly sizeBytes: number;
  /** Null where none is announced: the sha256 is computed and recorded. */
  readonly hash: ContentHash | null;
  /** Bytes that a crash may cost, asked for anew each time: no more are ever written beyond the journal. */
  readonly getLossBytes: () => number;
}

/** See the file's header. The blob's lock must be held from `open` to `close`, `finish` or `discard`. */
export class PartialBlob {
  readonly #options: PartialBlobOptions;
  #file: SyncFile;
  #intervals: readonly Interval[];
  #hash: FileHasher;
  #validator: string | null;
  /** Bytes on disk, by offset, that came before their turn to be hashed. */
  readonly #early = new Map<number, Uint8Array<ArrayBuffer>>();
  readonly #hashWaiters: (() => void)[] = [];
  /** Written since the last checkpoint began; and what the one under way will have journalled. */
  #bytesSinceCheckpoint = 0;
  #bytesInCheckpoint = 0;
  #checkpoint: Promise<void> | null = null;
  #closed = false;

  private constructor(
    options: PartialBlobOptions,
    file: SyncFile,
    state: { readonly intervals: readonly Interval[]; readonly hash: FileHasher; readonly validator: string | null },
  ) {
    this.#options = options;
    this.#file = file;
    this.#intervals = state.intervals;
    this.#hash = state.hash;
    this.#hash.onDrain = this.#onHashMoved;
    this.#validator = state.validator;
  }

  /** Opens what an earlier attempt left, or an empty file. */
  static async open(options: PartialBlobOptions): Promise<PartialBlob> {
    const { files, records, hashers, key, sizeBytes, hash } = options;
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
      const stream = await hashers.create(hash?.algorithm ?? 'sha256', sizeBytes, journal.hash);
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
   * Writes bytes at their offset and takes them over with their buffer. @throws LoadError `quota_exceeded` where the disk takes fewer than given.
   */
  write(offset: number, bytes: Uint8Array<ArrayBuffer>): void {
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
    this.#passOn(offset, bytes);
    this.#feedHash();
  }

  /** Bytes that are on disk; at the start of `memory`, where that is large enough. */
  read(start: number, end: number, memory?: ArrayBuffer): Uint8Array<ArrayBuffer> {
    const sizeBytes = end - start;
    const target = memory && memory.byteLength >= sizeBytes ? memory : new ArrayBuffer(sizeBytes);
    return this.#readInto(new Uint8Array(target, 0, sizeBytes), start);
  }

  #readInto(target: Uint8Array<ArrayBuffer>, start: number): Uint8Array<ArrayBuffer> {
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

  /**
   * Resolves when little waits for the hash and for the journal. A writer that awaits this is held back by a hash that is slower
   * than the network, instead of filling the memory, and never runs far ahead of the journal.
   * @throws LoadError `worker_died`: nothing would ever be verified, so nothing more should be fetched
   */
  async readyForMore(): Promise<void> {
    while (!this.#closed && this.#hash.pendingBytes > MAX_PENDING_BYTES) await this.#hashMoved();
    if (this.#hash.failure) throw this.#hash.failure;
    const lossBytes = this.#options.getLossBytes();
    // At half of it, so that nobody waits for a journal that keeps up.
    if (!this.#checkpoint && this.#bytesSinceCheckpoint >= lossBytes / 2) void this.checkpoint().catch(() => undefined);
    if (this.#bytesSinceCheckpoint + this.#bytesInCheckpoint >= lossBytes)
      await this.#checkpoint?.catch(() => undefined);
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
      this.#bytesInCheckpoint = 0;
    }
  }

  /**
   * Verifies, moves and records the full blob; the object is closed afterwards.
   * @throws LoadError `integrity_mismatch` (still open: reset or discard it)
   */
  async finish(): Promise<BlobRecord> {
    const { files, records, key, sizeBytes, hash } = this.#options;
    await this.#hashToEnd();
    // Digesting ends the hash, and a kill from here on needs its state to go on without re-reading.
    await this.checkpoint();
    const actual = await this.#hash.digest();
    if (hash) checkHash(hash, actual);
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
    const { records, hashers, key, sizeBytes, hash } = this.#options;
    while (this.#checkpoint) await this.#checkpoint.catch(() => undefined);
    await records.change([{ kind: 'journal', key, value: null }]);
    this.#file.truncate(0);
    this.#intervals = [];
    for (const [offset, bytes] of this.#early) this.#dropEarly(offset, bytes);
    this.#validator = null;
    this.#bytesSinceCheckpoint = 0;
    this.#hash.close();
    this.#hash = await hashers.create(hash?.algorithm ?? 'sha256', sizeBytes, null);
    this.#hash.onDrain = this.#onHashMoved;
  }

  /** Journals what is there and closes; a file of nothing goes. Never throws: an older journal stays true. */
  async close(): Promise<void> {
    if (this.#closed) return;
    if (this.#intervals.length === 0) return this.discard().catch(() => undefined);
    await this.checkpoint().catch(() => undefined);
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
    // The state is that of the bytes pushed by now, all of which are in these intervals and in this flush.
    const saving = this.#hash.save();
    saving.catch(() => undefined);
    const intervals = this.#intervals;
    this.#bytesInCheckpoint = this.#bytesSinceCheckpoint;
    this.#bytesSinceCheckpoint = 0;
    try {
      this.#file.flush();
    } catch (error) {
      throw toStorageError(error, `Flushing ${key}`);
    }
    const hash = await saving;
    const journal = { sizeBytes, etag: this.#validator, intervals, hash, updatedAtMs: Date.now() };
    await records.change([{ kind: 'journal', key, value: journal }]);
  }

  /** Written bytes whose turn it is go to the hash, early ones wait if there is room, others are read again later. */
  #passOn(offset: number, bytes: Uint8Array<ArrayBuffer>): void {
    const { hashers, buffers } = this.#options;
    if (offset === this.#hash.pushedBytes) this.#hash.push(bytes);
    else if (offset > this.#hash.pushedBytes && !this.#early.has(offset) && hashers.keep(bytes.buffer.byteLength)) {
      this.#early.set(offset, bytes);
    } else buffers.give(bytes.buffer);
  }

  /** Hands bytes that are on disk but came before their turn to the hash, as many as it can swallow. */
  #feedHash(): void {
    if (this.#closed) return;
    let start = this.#hash.pushedBytes;
    let end = contiguousEnd(this.#intervals, start);
    for (let pieces = 0; start < end && pieces < FEED_PIECES; pieces++) {
      if (this.#hash.pendingBytes > MAX_PENDING_BYTES) return;
      this.#hash.push(this.#takeEarly(start) ?? this.#readPiece(start, end));
      start = this.#hash.pushedBytes;
      end = contiguousEnd(this.#intervals, start);
    }
  }

  #takeEarly(start: number): Uint8Array<ArrayBuffer> | null {
    const bytes = this.#early.get(start);
    if (!bytes) return null;
    this.#early.delete(start);
    this.#options.hashers.giveBack(bytes.buffer.byteLength);
    return bytes;
  }

  /** From the disk, up to what is still in memory. */
  #readPiece(start: number, end: number): Uint8Array<ArrayBuffer> {
    let pieceEnd = Math.min(end, start + this.#options.buffers.sizeBytes);
    for (const [offset, bytes] of this.#early) {
      if (offset > start) pieceEnd = Math.min(pieceEnd, offset);
      else this.#dropEarly(offset, bytes);
    }
    const { buffers } = this.#options;
    return this.#readInto(new Uint8Array(buffers.take(), 0, pieceEnd - start), start);
  }

  #dropEarly(offset: number, bytes: Uint8Array<ArrayBuffer>): void {
    this.#early.delete(offset);
    this.#options.hashers.giveBack(bytes.buffer.byteLength);
    this.#options.buffers.give(bytes.buffer);
  }

  async #hashToEnd(): Promise<void> {
    while (this.#hash.pushedBytes < this.#options.sizeBytes && !this.#hash.failure) {
      this.#feedHash();
      await this.#hashMoved();
    }
  }

  /** Resolves when the hash has swallowed something, or soon where it has nothing to swallow. */
  #hashMoved(): Promise<void> {
    if (this.#hash.pendingBytes === 0) return yieldToEvents();
    return new Promise((resolve) => this.#hashWaiters.push(resolve));
  }

  readonly #onHashMoved = (): void => {
    this.#feedHash();
    for (const resolve of this.#hashWaiters.splice(0)) resolve();
  };

  async #closeFile(): Promise<void> {
    if (this.#closed) return;
    while (this.#checkpoint) await this.#checkpoint.catch(() => undefined);
    this.#closed = true;
    for (const [offset, bytes] of this.#early) this.#dropEarly(offset, bytes);
    this.#hash.close();
    for (const resolve of this.#hashWaiters.splice(0)) resolve();
    this.#file.close();
  }
}

/** Pieces read at one go: enough to overtake the network, too few to hold up the connections. */
const FEED_PIECES = 4;

/** Memory that may wait for the hash. */
const MAX_PENDING_BYTES = 4 * 1024 * 1024;
