/**
 * Bounded concurrency for async work.
 */
import { raceAbort, throwIfAborted } from './abort.ts';

/**
 * Runs `work` for every item, at most `limit` at a time, in order of start. The first failure stops further starts; it is
 * thrown after everything that was already running has settled, so that nothing is left behind.
 */
export async function forEachConcurrent<T>(
  items: readonly T[],
  limit: number,
  work: (item: T, index: number) => Promise<void>,
  signal?: AbortSignal,
): Promise<void> {
  let next = 0;
  const failures: unknown[] = [];
  const lane = async (): Promise<void> => {
    while (failures.length === 0 && next < items.length) {
      const index = next++;
      try {
        throwIfAborted(signal);
        await work(items[index] as T, index);
      } catch (error) {
        failures.push(error);
      }
    }
  };
  await Promise.all(Array.from({ length: Math.min(limit, items.length) }, lane));
  if (failures.length > 0) throw failures[0];
}

/** A counting semaphore whose waiters are served in order of arrival. */
export class Semaphore {
  #free: number;
  readonly #waiting: (() => void)[] = [];

  constructor(permits: number) {
    this.#free = permits;
  }

  /** Runs `work` while holding one permit. @throws LoadError `aborted`, if the signal fires before a permit is free */
  async use<T>(work: () => Promise<T>, signal?: AbortSignal): Promise<T> {
    throwIfAborted(signal);
    if (this.#free > 0) this.#free--;
    else await this.#wait(signal);
    try {
      return await work();
    } finally {
      this.#release();
    }
  }

  async #wait(signal: AbortSignal | undefined): Promise<void> {
    let waiter: (() => void) | undefined;
    const turn = new Promise<void>((resolve) => this.#waiting.push((waiter = resolve)));
    try {
      await raceAbort(turn, signal);
    } catch (error) {
      const index = this.#waiting.findIndex((other) => other === waiter);
      if (index >= 0) this.#waiting.splice(index, 1);
      else this.#release(); // the permit and the abort came in the same moment
      throw error;
    }
  }

  #release(): void {
    const waiter = this.#waiting.shift();
    if (waiter) waiter();
    else this.#free++;
  }
}
