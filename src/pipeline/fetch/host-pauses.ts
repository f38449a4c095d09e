/**
 * Hosts that asked to be asked less often, and until when nobody here asks them.
 *
 * In: the waits that requests were told. Out: whether a host is being waited for. Guarantees: one answer of "too many" holds
 * up all further requests to that host, not only the one that was refused; when the time is over, somebody is told to go on.
 */

/** What to call when. */
export interface PauseEvents {
  /** A host is waited for from now on, or longer than was known. */
  onPause(message: string): void;
  /** A wait is over. */
  onEnd(): void;
}

/** See the file's header; one for all files of a worker. */
export class HostPauses {
  /** Origin → when it may be asked again, on the clock of `performance.now()`. */
  readonly #untilMs = new Map<string, number>();
  readonly #events: PauseEvents;

  constructor(events: PauseEvents) {
    this.#events = events;
  }

  isPaused(url: string): boolean {
    return (this.#untilMs.get(new URL(url).origin) ?? 0) > performance.now();
  }

  /** Nobody asks `origin` for `delayMs` from now on. */
  pause(origin: string, delayMs: number, message: string): void {
    const nowMs = performance.now();
    const untilMs = nowMs + delayMs;
    const known = this.#untilMs.get(origin) ?? 0;
    if (untilMs <= known) return;
    this.#untilMs.set(origin, untilMs);
    // Requests that were under way together are told the same, a moment apart.
    if (known <= nowMs || untilMs > known + SAME_MS) this.#events.onPause(message);
    setTimeout(() => this.#events.onEnd(), delayMs);
  }
}

const SAME_MS = 2_000;
