/**
 * Pacing of bytes. In: a rate. Out: waits. A short oversleep is made up for, so that the mean rate is the rate asked for.
 */

/** How slow the line is. Zero or absent: no limit. */
export interface Throttle {
  /** All connections together. */
  readonly bytesPerSecond?: number;
  readonly bytesPerSecondPerConnection?: number;
  /** Before each answer's first byte. */
  readonly latencyMs?: number;
}

/** Hands out time slots on one line. */
export class Pacer {
  readonly #bytesPerMs: number;
  #nextMs = 0;

  constructor(bytesPerSecond: number) {
    this.#bytesPerMs = bytesPerSecond / 1000;
  }

  /** Resolves when `sizeBytes` more may be sent. */
  async wait(sizeBytes: number): Promise<void> {
    const nowMs = performance.now();
    this.#nextMs = Math.max(this.#nextMs, nowMs - MAX_CREDIT_MS) + sizeBytes / this.#bytesPerMs;
    const aheadMs = this.#nextMs - nowMs;
    // Timers are a millisecond coarse: sleeping for less would only slow the line down.
    if (aheadMs >= MIN_SLEEP_MS) await new Promise((resolve) => setTimeout(resolve, aheadMs));
  }
}

/** How much lost time a line may catch up on. */
const MAX_CREDIT_MS = 40;
const MIN_SLEEP_MS = 3;
