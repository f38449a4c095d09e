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

type SizeTuning = Pick<FetchTuning, 'rangeBytes' | 'maxRangeBytes' | 'maxOpenBytes'>;

/** One for all files of a load: they share its part of the line. */
export class RangeSizer {
  readonly #tuning: SizeTuning;
  #sizeBytes: number;

  constructor(tuning: SizeTuning) {
    this.#tuning = tuning;
    this.#sizeBytes = tuning.rangeBytes;
  }

  /** Bytes to ask for where `leftBytes` of the file are missing still and so many connections share them. */
  next(leftBytes: number, connections: number): number {
    const share = Math.ceil(leftBytes / connections);
    return Math.max(this.#tuning.rangeBytes, Math.min(this.#bound(connections), share));
  }

  /** A range a connection. */
  openBytes(connections: number): number {
    return connections * this.#bound(connections);
  }

  /** A range of this size has come. */
  report(sizeBytes: number, elapsedMs: number): void {
    const { rangeBytes, maxRangeBytes } = this.#tuning;
    if (elapsedMs > LONG_MS) this.#sizeBytes = Math.max(rangeBytes, Math.min(this.#sizeBytes, sizeBytes) / 2);
    // A smaller one, at a file's end, says nothing about this size.
    else if (elapsedMs < SHORT_MS && sizeBytes >= this.#sizeBytes) {
      this.#sizeBytes = Math.min(Math.max(maxRangeBytes, rangeBytes), 2 * this.#sizeBytes);
    }
  }

  #bound(connections: number): number {
    const { rangeBytes, maxOpenBytes } = this.#tuning;
    return Math.max(rangeBytes, Math.min(this.#sizeBytes, Math.floor(maxOpenBytes / connections)));
  }
}
