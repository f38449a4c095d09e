/**
 * Memory for reads that follow each other, two of which are in use at a time: one that is worked on and one that runs ahead.
 *
 * In: how much a read needs. Out: memory, that of the read before the last. Whoever took it gives back what the read
 * left of it: a buffer that went to another worker and back is another object. Not given back (a failed read), it is made anew.
 */
export class ReadMemory {
  readonly #usualBytes: number;
  #newer: ArrayBuffer | null = null;
  #older: ArrayBuffer | null = null;

  /** `usualBytes`: what most reads need; less is never made, so that short reads first do not waste what is made for them. */
  constructor(usualBytes: number) {
    this.#usualBytes = usualBytes;
  }

  /** Memory of at least so many bytes. */
  take(sizeBytes: number): ArrayBuffer {
    const memory = this.#older;
    this.#older = this.#newer;
    this.#newer = null;
    if (memory && memory.byteLength >= sizeBytes) return memory;
    return new ArrayBuffer(Math.max(sizeBytes, this.#usualBytes));
  }

  /** In place of what was taken last. */
  give(memory: ArrayBuffer): void {
    this.#newer = memory;
  }
}
