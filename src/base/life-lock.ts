/**
 * How a worker's end is noticed, however it ends: no event tells that one was closed, or killed for want of memory.
 *
 * In: a name that no other worker has. Guarantees: the worker holds a lock of that name for as long as it lives; the
 * browser gives it to whoever waits for it as soon as the worker is gone.
 */

/** What the worker posts once it holds its lock: before that, a wait for the lock would be over at once. */
export const LIFE_LOCK_HELD = 'firstlight:life-lock-held';

/**
 * The worker's side: resolves when the lock is held; false where the browser gives the page no locks (site data is blocked, or no
 * https): then only error events tell.
 */
export function holdForLife(name: string): Promise<boolean> {
  return new Promise((resolve) => {
    const hold = (): Promise<void> => {
      resolve(true);
      return new Promise(() => undefined);
    };
    const refuse = (): void => resolve(false);
    const locks = navigator.locks as LockManager | undefined;
    if (locks) locks.request(name, hold).catch(refuse);
    else refuse();
  });
}

/** The other side, once the lock is held: tells the end, until the signal fires. */
export function watchLife(name: string, signal: AbortSignal, onEnd: () => void): void {
  const locks = navigator.locks as LockManager | undefined;
  locks?.request(name, { signal }, onEnd).catch(() => undefined);
}
