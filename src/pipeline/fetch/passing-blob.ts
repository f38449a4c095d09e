/**
 * A file that is kept nowhere: its bytes wait in memory for whoever reads them, then for the hash, and are gone.
 *
 * In: bytes at their offsets, in any order. Out: reads of what is there, and a hash over all of it, in order. Guarantees: a byte
 * is given up only once it was handed to the hash; a writer that awaits `readyForMore` never runs further ahead than it may, so
 * that the memory is bounded by that, and a page more; every page goes back to the pool.
 */
import type { BufferPool } from '../../base/buffer-pool.ts';
import { LoadError } from '../../contract/errors.ts';
import { addInterval, contiguousEnd, countBytes, coversInterval } from '../../store/intervals.ts';
import type { Interval } from '../../store/intervals.ts';
import type { FileHasher } from '../../store/file-hasher.ts';
import type { BlobTarget } from './blob-requests.ts';

/** See the file's header. */
export class PassingBlob implements BlobTarget {
  validator: string | null = null;
  /** What has arrived, given up or not. */
  intervals: readonly Interval[] = [];
  /** Bytes from the start that are given up. */
  passedBytes = 0;
  readonly sizeBytes: number;
  readonly #buffers: BufferPool;
  readonly #getWriteEnd: () => number;
  /** By the offset of their first byte; all as large as the pool's buffers. */
  readonly #pages = new Map<number, ArrayBuffer>();
  readonly #waiting: (() => void)[] = [];
  #closed = false;

  /** `getWriteEnd`: writers that have come this far wait. */
  constructor(sizeBytes: number, buffers: BufferPool, getWriteEnd: () => number) {
    this.sizeBytes = sizeBytes;
    this.#buffers = buffers;
    this.#getWriteEnd = getWriteEnd;
  }

  get doneBytes(): number {
    return countBytes(this.intervals);
  }

  /** Bytes in memory, as whole pages. */
  get heldBytes(): number {
    return this.#pages.size * this.#buffers.sizeBytes;
  }

  get isPassed(): boolean {
    return this.passedBytes === this.sizeBytes;
  }

  write(offset: number, bytes: Uint8Array<ArrayBuffer>): void {
    this.#visit(offset, offset + bytes.byteLength, (page, from, at, count) =>
      page.set(bytes.subarray(at, at + count), from),
    );
    this.intervals = addInterval(this.intervals, offset, offset + bytes.byteLength);
    this.#buffers.give(bytes.buffer);
  }

  async readyForMore(): Promise<void> {
    while (!this.#closed && (this.intervals.at(-1)?.end ?? 0) > this.#getWriteEnd()) {
      await new Promise<void>((resolve) => this.#waiting.push(resolve));
    }
  }

  /** Whether these bytes are there; once given up they count as there. */
  has(start: number, end: number): boolean {
    return coversInterval(this.intervals, start, end);
  }

  /** Bytes that are there; at the start of `memory`, where that is large enough. @throws LoadError `internal` where they were given up */
  read(start: number, end: number, memory?: ArrayBuffer): Uint8Array<ArrayBuffer> {
    if (start < this.passedBytes) {
      throw new LoadError('internal', {
        message: `Bytes ${start} to ${end} were asked for after byte ${this.passedBytes}, and nothing is kept.`,
      });
    }
    const sizeBytes = end - start;
    const target = memory && memory.byteLength >= sizeBytes ? memory : new ArrayBuffer(sizeBytes);
    const bytes = new Uint8Array(target, 0, sizeBytes);
    this.#visit(start, end, (page, from, at, count) => bytes.set(page.subarray(from, from + count), at));
    return bytes;
  }

  /** Gives up what lies before `end`, page by page, as far as it is there and the hash keeps up. */
  passTo(end: number, hasher: FileHasher | null): void {
    const before = this.passedBytes;
    const thereEnd = contiguousEnd(this.intervals, 0);
    while (!this.isPassed && (hasher?.pendingBytes ?? 0) <= MAX_PENDING_BYTES) {
      const start = this.passedBytes;
      const pageEnd = Math.min(start + this.#buffers.sizeBytes, this.sizeBytes);
      if (pageEnd > end || pageEnd > thereEnd) break;
      const page = this.#takePage(start);
      this.#pages.delete(start);
      this.passedBytes = pageEnd;
      if (hasher) hasher.push(new Uint8Array(page, 0, pageEnd - start));
      else this.#buffers.give(page);
    }
    if (this.passedBytes > before) this.wake();
  }

  /** Writers look again how far they may go. */
  wake(): void {
    for (const resolve of this.#waiting.splice(0)) resolve();
  }

  /** Lets the memory and all who wait go. */
  close(): void {
    this.#closed = true;
    for (const page of this.#pages.values()) this.#buffers.give(page);
    this.#pages.clear();
    this.wake();
  }

  /** The pages of `[start, end)`, each with where the part begins in it, where in the range, and how long it is. */
  #visit(
    start: number,
    end: number,
    work: (page: Uint8Array<ArrayBuffer>, from: number, at: number, count: number) => void,
  ): void {
    const pageBytes = this.#buffers.sizeBytes;
    for (let position = start; position < end;) {
      const from = position % pageBytes;
      const count = Math.min(end - position, pageBytes - from);
      work(new Uint8Array(this.#takePage(position - from)), from, position - start, count);
      position += count;
    }
  }

  #takePage(offset: number): ArrayBuffer {
    const page = this.#pages.get(offset) ?? this.#buffers.take();
    this.#pages.set(offset, page);
    return page;
  }
}

/** Memory that may wait for the hash, beside the pages. */
const MAX_PENDING_BYTES = 4 * 1024 * 1024;
