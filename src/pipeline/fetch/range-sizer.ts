/**
 * How large the next range should be. In: how long finished ranges took. Out: a size.
 *
 * A request costs a round trip and the browser's work for it, whatever it brings; a range costs its size again if it is lost,
 * and the hash has to wait for ranges before it. So ranges are as large as some tenths of a second bring on this line, between the tuning's
 * bounds; towards the end of a file they shrink, so that all connections end together.
 */
import type { FetchTuning } from './tuning.ts';

/** Faster than this: the next ones may be twice as large. */
const SHORT_MS = 300;

/** Slower than this: half as large. */
const LONG_MS = 2_000;

/** One for all files of a worker: they share the line. */
export class RangeSizer {
  readonly #tuning: Pick<FetchTuning, 'rangeBytes' | 'maxRangeBytes' | 'connections'>;
  #sizeBytes: number;

  constructor(tuning: Pick<FetchTuning, 'rangeBytes' | 'maxRangeBytes' | 'connections'>) {
    this.#tuning = tuning;
    this.#sizeBytes = tuning.rangeBytes;
  }

  /** Bytes to ask for where `leftBytes` of the file are missing still. */
  next(leftBytes: number): number {
    const share = Math.ceil(leftBytes / this.#tuning.connections);
    return Math.max(this.#tuning.rangeBytes, Math.min(this.#sizeBytes, share));
  }

  /** A range of this size has come. */
  report(sizeBytes: number, elapsedMs: number): void {
    // A smaller one, at a file's end, says nothing about this size.
    if (sizeBytes < this.#sizeBytes) return;
    const { rangeBytes, maxRangeBytes } = this.#tuning;
    if (elapsedMs < SHORT_MS) this.#sizeBytes = Math.min(Math.max(maxRangeBytes, rangeBytes), 2 * this.#sizeBytes);
    else if (elapsedMs > LONG_MS) this.#sizeBytes = Math.max(rangeBytes, this.#sizeBytes / 2);
  }
}
