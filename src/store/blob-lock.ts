/**
 * Who may write a file of the cache: Web Locks, which the browser gives back when a tab closes or dies.
 *
 * One exclusive lock a blob (`firstlight:blob:<key>`): its holder alone opens, moves or removes the blob's files. One
 * shared lock a snapshot in use (`firstlight:snapshot:<key>`): eviction and deletion take it exclusively or leave the
 * snapshot alone. One lock a file of prepared weights (`firstlight:prepared:<key>`): shared by those who read it, exclusive
 * for who writes or removes it. A tab that holds a blob's lock never waits for another blob's lock, and nobody waits long
 * for a prepared one, so there is no deadlock.
 */
import { storageUnavailable, toStorageError } from './storage-error.ts';

/** Waits for the blob's lock and runs `work` under it. The signal ends the waiting, not the work. */
export function withBlobLock<T>(key: string, signal: AbortSignal, work: () => Promise<T>): Promise<T> {
  return getLocks().request(`firstlight:blob:${key}`, { signal }, work);
}

/** Runs `work` if nobody holds the blob's lock; null if somebody does. */
export function tryBlobLock<T>(key: string, work: () => Promise<T>): Promise<T | null> {
  return getLocks().request(`firstlight:blob:${key}`, { ifAvailable: true }, (lock) =>
    lock ? work() : Promise.resolve(null),
  );
}

/** Marks a snapshot as in use until the returned function is called. */
export async function holdSnapshot(key: string): Promise<() => void> {
  let release: (() => void) | undefined;
  const released = new Promise<void>((resolve) => (release = resolve));
  await new Promise<void>((resolve, reject) => {
    getLocks()
      .request(`firstlight:snapshot:${key}`, { mode: 'shared' }, () => {
        resolve();
        return released;
      })
      .catch(reject);
  });
  return () => release?.();
}

/** Runs `work` if no tab uses the snapshot; null if one does. */
export function tryUnusedSnapshot<T>(key: string, work: () => Promise<T>): Promise<T | null> {
  return getLocks().request(`firstlight:snapshot:${key}`, { ifAvailable: true }, (lock) =>
    lock ? work() : Promise.resolve(null),
  );
}

/**
 * Locks prepared weights until the returned function is called; null where others keep them locked. A sweep or a removal,
 * which is over in milliseconds, is waited for (not with a patience of 0).
 */
export function holdPrepared(
  key: string,
  mode: LockMode,
  patienceMs = PREPARED_PATIENCE_MS,
): Promise<(() => void) | null> {
  const options: LockOptions =
    patienceMs === 0 ? { mode, ifAvailable: true } : { mode, signal: AbortSignal.timeout(patienceMs) };
  return new Promise((resolve, reject) => {
    getLocks()
      .request(`firstlight:prepared:${key}`, options, (lock) => {
        if (lock) return new Promise<void>((release) => resolve(() => release()));
        resolve(null);
        return undefined;
      })
      .catch((error: unknown) => {
        if (error instanceof DOMException && error.name === 'TimeoutError') resolve(null);
        else reject(toStorageError(error, 'Locking prepared weights'));
      });
  });
}

const PREPARED_PATIENCE_MS = 250;

function getLocks(): LockManager {
  const locks = globalThis.navigator.locks as LockManager | undefined;
  if (!locks) throw storageUnavailable('The lock manager');
  return locks;
}
