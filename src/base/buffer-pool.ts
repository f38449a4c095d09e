/**
 * Buffers of one size, used again. Where bytes stream through at hundreds of MB/s, the pages of fresh buffers cost the
 * system more time than filling them does.
 *
 * Guarantees: at most `maxKept` idle buffers are kept; a buffer that was transferred away, or of another size, is let go.
 */
export class BufferPool {
  /** Of every buffer. */
  readonly sizeBytes: number;
  readonly #maxKept: number;
  readonly #idle: ArrayBuffer[] = [];

  constructor(sizeBytes: number, maxKept: number) {
    this.sizeBytes = sizeBytes;
    this.#maxKept = maxKept;
  }

  /** A buffer with whatever its last user left in it. */
  take(): ArrayBuffer {
    return this.#idle.pop() ?? new ArrayBuffer(this.sizeBytes);
  }

  /** The giver may not touch it any more. */
  give(buffer: ArrayBuffer): void {
    if (buffer.byteLength === this.sizeBytes && this.#idle.length < this.#maxKept) this.#idle.push(buffer);
  }
}
