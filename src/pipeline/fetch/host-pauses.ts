/**
 * Hosts that asked to be asked less often, and until when nobody here asks them.
 *
 * In: the waits that requests were told. Out: whether a host is being waited for. Guarantees: one answer of "too many" holds
 * up all further requests to that host, of all loads, not only the one that was refused; each load whose requests it holds up is
 * told so, and no other; when the time is over, somebody is told to go on.
 */

/** What one load sees of the pauses. */
export interface LoadPauses {
  /** Whether a request of this load has to wait. */
  isPaused(url: string): boolean;
  /** Nobody asks `origin` for `delayMs` from now on. */
  pause(origin: string, delayMs: number, message: string): void;
}

interface Pause {
  /** On the clock of `performance.now()`. */
  readonly untilMs: number;
  readonly message: string;
}

/** See the file's header; one for all loads of a worker. */
export class HostPauses {
  readonly #pauses = new Map<string, Pause>();
  readonly #onEnd: () => void;

  /** `onEnd`: a wait is over. */
  constructor(onEnd: () => void) {
    this.#onEnd = onEnd;
  }

  /** `onPause`: a host is waited for from now on, or longer than was known. */
  openFor(onPause: (message: string) => void): LoadPauses {
    /** Origin → the end of the wait that this load was told last. */
    const told = new Map<string, number>();
    const tell = (origin: string, { untilMs, message }: Pause): void => {
      const known = told.get(origin) ?? 0;
      // Requests that were under way together are told the same, a moment apart.
      const isNews = known <= performance.now() || untilMs > known + SAME_MS;
      told.set(origin, Math.max(known, untilMs));
      if (isNews) onPause(message);
    };
    return {
      isPaused: (url) => {
        const { origin } = new URL(url);
        const pause = this.#pauses.get(origin);
        if (!pause || pause.untilMs <= performance.now()) return false;
        tell(origin, pause);
        return true;
      },
      pause: (origin, delayMs, message) => {
        const untilMs = performance.now() + delayMs;
        if (untilMs <= (this.#pauses.get(origin)?.untilMs ?? 0)) return;
        const pause = { untilMs, message };
        this.#pauses.set(origin, pause);
        tell(origin, pause);
        setTimeout(this.#onEnd, delayMs);
      },
    };
  }
}

const SAME_MS = 2_000;
