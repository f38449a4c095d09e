/**
 * How a worker's end is noticed, however it ends: no event tells that one was closed, or killed for want of memory.
 *
 * In: a name that no other worker has. Guarantees: the worker holds a lock of that name for as long as it lives; the
 * browser gives it to whoever waits for it as soon as the worker is gone.
 */

/** The worker's side: resolves when the lock is held. */
export function holdForLife(name: string): Promise<void> {
  return new Promise((resolve, reject) => {
    navigator.locks
      .request(name, () => {
        resolve();
        return new Promise(() => undefined);
      })
      .catch(reject);
  });
}

/** The other side, once the lock is held: tells the end, until the signal fires. */
export function watchLife(name: string, signal: AbortSignal, onEnd: () => void): void {
  navigator.locks.request(name, { signal }, onEnd).catch(() => undefined);
}
