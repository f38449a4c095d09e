/**
 * How many connections the line needs. In: what each read brought, and how long the connection then waited for the network and
 * for what comes behind it (disk, hash). Out: a number. Pure: the clock is given.
 *
 * Where disk or hash are slower than the line, a browser keeps all of an answer that nobody has read yet: each connection costs
 * the rest of its range in memory. And the more ranges are open, the more of them come before their turn to be hashed. So it begins
 * with few, adds one as long as the one before was worth it, and goes down to one where what comes behind is the slower part.
 */

/** What a connection did between two reads. */
export interface ConnectionTurn {
  readonly sizeBytes: number;
  /** For bytes to come. */
  readonly networkMs: number;
  /** For disk and hash to take them. */
  readonly behindMs: number;
}

/** See the file's header; one for all loads of a worker: they share the line. */
export class ConnectionBudget {
  readonly #getMost: () => number;
  #limit = FIRST_LIMIT;
  #reading = 0;
  #window: Window | null = null;
  /** The connection that was added last, until it is known whether it was worth it. */
  #trial: { readonly rateBefore: number; readonly sinceMs: number } | null = null;
  #restWindows = 0;
  #failedTrials = 0;

  /** `getMost`: what there may be; it may change. */
  constructor(getMost: () => number) {
    this.#getMost = getMost;
  }

  /** Connections that may be at work now. */
  get limit(): number {
    return Math.max(1, Math.min(this.#limit, this.#getMost()));
  }

  /** A body has begun. */
  begin(): void {
    this.#reading++;
  }

  /** It has ended. */
  end(): void {
    this.#reading--;
  }

  /** True where the limit has changed. */
  report({ sizeBytes, networkMs, behindMs }: ConnectionTurn, nowMs: number): boolean {
    if (!this.#window) {
      // A new connection is judged once it brings something.
      const isTooEarly =
        this.#trial !== null && this.#reading < this.#limit && nowMs < this.#trial.sinceMs + PATIENCE_MS;
      if (!isTooEarly) this.#window = openWindow(nowMs);
      return false;
    }
    const window = this.#window;
    window.sizeBytes += sizeBytes;
    window.networkMs += networkMs;
    window.behindMs += behindMs;
    const elapsedMs = nowMs - window.startMs;
    if (elapsedMs < WINDOW_MS) return false;
    this.#window = null;
    const before = this.#limit;
    this.#judge(window.sizeBytes / elapsedMs, window.behindMs / (window.behindMs + window.networkMs), nowMs);
    return this.#limit !== before;
  }

  #judge(rate: number, behindShare: number, nowMs: number): void {
    const trial = this.#trial;
    this.#trial = null;
    if (behindShare > SLOW_BEHIND) {
      this.#limit = Math.max(1, this.#limit - 1);
      return;
    }
    // One of many that are held back alike brings its share; a part of that will do, because lines waver.
    if (trial && this.#limit > FIRST_LIMIT && rate < trial.rateBefore * (1 + WORTH_IT / (this.#limit - 1))) {
      this.#limit--;
      this.#restWindows = FIRST_REST_WINDOWS * 2 ** Math.min(this.#failedTrials++, MAX_DOUBLINGS);
      return;
    }
    if (trial) this.#failedTrials = 0;
    if (behindShare > BUSY_BEHIND || this.#limit >= this.#getMost() || this.#restWindows-- > 0) return;
    this.#restWindows = 0;
    this.#trial = { rateBefore: rate, sinceMs: nowMs };
    this.#limit++;
  }
}

interface Window {
  readonly startMs: number;
  sizeBytes: number;
  networkMs: number;
  behindMs: number;
}

function openWindow(startMs: number): Window {
  return { startMs, sizeBytes: 0, networkMs: 0, behindMs: 0 };
}

/** Two hide each other's round trips. Less than that only where the line is not what is waited for. */
const FIRST_LIMIT = 2;

const WINDOW_MS = 200;

/** Share of its time that a connection waits for what comes behind: from here on there is one too many. */
const SLOW_BEHIND = 0.3;

/** And from here on another one would be. */
const BUSY_BEHIND = 0.1;

/** Share of an average connection's rate that another one has to bring. */
const WORTH_IT = 0.3;

/** For the first byte of a new connection. */
const PATIENCE_MS = 2_000;

/** After one that was not worth it none is added for so long; twice as long each time. */
const FIRST_REST_WINDOWS = 8;
const MAX_DOUBLINGS = 4;
