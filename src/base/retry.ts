/**
 * Retrying of transient failures, the same for every request that Firstlight makes.
 *
 * In: work that may fail for a while. Out: its result, or its last error. Guarantees: the number of attempts without
 * progress is bounded; waits grow exponentially with full jitter (a thousand pages that failed together do not come back
 * together) unless the server named a time; one that asks to be asked less often and names none (or hides it from pages) is
 * given ten times as long; an abort ends a wait at once; nothing is left running.
 */
import { isLoadError, type LoadError } from '../contract/errors.ts';
import { raceAbort, sleep, throwIfAborted } from './abort.ts';

/** How {@link retry} goes about it. Times in ms. */
export interface RetryOptions {
  readonly signal?: AbortSignal | undefined;
  /** Attempts without progress, the first included. Default 5. */
  readonly attempts?: number | undefined;
  /** Upper bound of the first wait; it doubles with each attempt. Default 500. */
  readonly baseDelayMs?: number | undefined;
  /** Upper bound of every wait that we choose ourselves. Default 15,000. */
  readonly maxDelayMs?: number | undefined;
  /**
   * Who would have to wait longer than this for a server does not: its error is thrown, and says when to come back.
   * Default: six minutes. The hub counts requests in windows of five.
   */
  readonly maxServerDelayMs?: number | undefined;
  /** Default: a LoadError that says so of itself, and was not an abort. */
  readonly isRetryable?: ((error: unknown) => boolean) | undefined;
  /** Told before each wait. `attempt` counts failures without progress, from 1. */
  readonly onRetry?: ((failure: { error: unknown; attempt: number; delayMs: number }) => void) | undefined;
  /** Fires `online` when the network is back, which ends a wait of our own choosing. Default: the global scope. */
  readonly onlineEvents?: EventTarget | null | undefined;
  /** In [0, 1). Default `Math.random`. */
  readonly random?: (() => number) | undefined;
  /** Waits for a server. Default: {@link sleep}. */
  readonly wait?: ((delayMs: number, signal: AbortSignal | undefined) => Promise<void>) | undefined;
}

/** What work is given on each attempt. */
export interface RetryAttempt {
  /** Failures without progress before this one, from 0. */
  readonly attempt: number;
  /** Says that something was gained that the next attempt keeps (bytes on disk): the count starts over. */
  readonly madeProgress: () => void;
}

/**
 * Runs `work` until it succeeds, fails for good, or has failed `attempts` times in a row without progress.
 *
 * @throws the last error of `work`; `aborted`
 */
export async function retry<T>(work: (attempt: RetryAttempt) => Promise<T>, options: RetryOptions = {}): Promise<T> {
  const { signal, attempts = 5, isRetryable = isTransient, maxServerDelayMs = 360_000, wait = sleep } = options;
  let failures = 0;
  const madeProgress = (): void => {
    failures = 0;
  };
  for (;;) {
    throwIfAborted(signal);
    try {
      return await work({ attempt: failures, madeProgress });
    } catch (error) {
      failures++;
      if (signal?.aborted || !isRetryable(error)) throw error;
      const toldMs = readRetryAfterMs(error);
      const isLimited = isRateLimited(error);
      // Who is not told when the time is over has to try until a whole window of the server is.
      if (failures >= (isLimited && toldMs === null ? Math.max(attempts, UNTOLD_ATTEMPTS) : attempts)) throw error;
      const delayMs = toldMs ?? chooseDelayMs(failures, options) * (isLimited ? UNTOLD_PATIENCE : 1);
      if ((toldMs !== null || isLimited) && delayMs > maxServerDelayMs) throw error;
      options.onRetry?.({ error, attempt: failures, delayMs });
      if (toldMs !== null || isLimited) await wait(delayMs, signal);
      else await sleepUntilOnline(delayMs, options);
    }
  }
}

/** Whether an error says of itself that the same call may succeed later. */
export function isTransient(error: unknown): boolean {
  return isLoadError(error) && error.retryable && error.code !== 'aborted';
}

/** Whether a server has asked to be asked less often. */
export function isRateLimited(error: unknown): error is LoadError {
  return isLoadError(error) && error.code === 'rate_limited';
}

/** Errors that know when to come back carry `detail.retryAfterMs`. */
function readRetryAfterMs(error: unknown): number | null {
  const value = isLoadError(error) ? error.detail['retryAfterMs'] : null;
  return typeof value === 'number' && Number.isFinite(value) && value >= 0 ? value : null;
}

/** Eight waits of 5 s to 150 s by default: together five minutes at least. */
const UNTOLD_PATIENCE = 10;
const UNTOLD_ATTEMPTS = 9;

function chooseDelayMs(failures: number, options: RetryOptions): number {
  const { baseDelayMs = 500, maxDelayMs = 15_000, random = Math.random } = options;
  const bound = Math.min(maxDelayMs, baseDelayMs * 2 ** (failures - 1));
  // At least half of the bound: a wait of nothing would spend an attempt on the same outage.
  return bound * (0.5 + random() / 2);
}

async function sleepUntilOnline(delayMs: number, options: RetryOptions): Promise<void> {
  const target = options.onlineEvents === undefined ? globalEvents() : options.onlineEvents;
  if (target === null) return sleep(delayMs, options.signal);
  let onOnline: (() => void) | undefined;
  const online = new Promise<void>((resolve) => {
    onOnline = resolve;
    target.addEventListener('online', onOnline, { once: true });
  });
  const timer = new AbortController();
  try {
    // The sleep ends with `aborted` once `online` won; nobody waits for it then.
    const slept = sleep(delayMs, timer.signal).catch(() => undefined);
    await raceAbort(Promise.race([slept, online]), options.signal);
  } finally {
    timer.abort();
    if (onOnline) target.removeEventListener('online', onOnline);
  }
}

function globalEvents(): EventTarget | null {
  const scope: { addEventListener?: unknown } = globalThis;
  return typeof scope.addEventListener === 'function' ? (scope as unknown as EventTarget) : null;
}
