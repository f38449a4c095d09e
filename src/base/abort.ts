/**
 * Abort handling, the same everywhere: check first, listen once, remove the listener on every way out.
 */
import { LoadError } from '../contract/errors.ts';

/** Throws `aborted` if the signal has fired. Call it before each step that costs something. */
export function throwIfAborted(signal: AbortSignal | undefined): void {
  if (signal?.aborted) throw abortedError(signal);
}

/** The error for a signal that has fired; its reason is the cause. */
export function abortedError(signal: AbortSignal): LoadError {
  return new LoadError('aborted', { retryable: true, cause: signal.reason });
}

/** `promise`, or `aborted` as soon as the signal fires. The work behind `promise` must watch the signal itself. */
export async function raceAbort<T>(promise: Promise<T>, signal: AbortSignal | undefined): Promise<T> {
  if (!signal) return promise;
  throwIfAborted(signal);
  let onAbort: (() => void) | undefined;
  const aborted = new Promise<never>((_, reject) => {
    onAbort = () => reject(abortedError(signal));
    signal.addEventListener('abort', onAbort, { once: true });
  });
  try {
    return await Promise.race([promise, aborted]);
  } finally {
    if (onAbort) signal.removeEventListener('abort', onAbort);
  }
}

/**
 * Lets the event loop take what is waiting, a cancel above all. Work that only awaits what is already there (a WASM run is
 * synchronous underneath) runs as microtasks, and would hold off every message until its end.
 */
export async function yieldToEvents(): Promise<void> {
  const { port1, port2 } = new MessageChannel(); // setTimeout would wait 4 ms once it is nested
  await new Promise((resolve) => {
    port1.onmessage = resolve;
    port2.postMessage(null);
  });
  port1.close();
}

/** Resolves after `delayMs`, or rejects with `aborted`. */
export async function sleep(delayMs: number, signal?: AbortSignal): Promise<void> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  try {
    await raceAbort(
      new Promise<void>((resolve) => {
        timer = setTimeout(resolve, delayMs);
      }),
      signal,
    );
  } finally {
    clearTimeout(timer);
  }
}
