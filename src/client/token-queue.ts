/**
 * Turns pushed items into an async iterator: what a worker's callback delivers becomes `for await`.
 */

/** A queue with one producer and one consumer. */
export class TokenQueue<T> implements AsyncIterableIterator<T> {
  readonly #items: T[] = [];
  readonly #onReturn: () => void;
  #waiting: { resolve(result: IteratorResult<T>): void; reject(error: unknown): void } | null = null;
  #end: { readonly error: unknown } | 'done' | null = null;

  /** `onReturn` is called when the consumer leaves the loop early. */
  constructor(onReturn: () => void) {
    this.#onReturn = onReturn;
  }

  push(item: T): void {
    if (this.#end) return;
    if (this.#waiting) {
      this.#waiting.resolve({ done: false, value: item });
      this.#waiting = null;
    } else this.#items.push(item);
  }

  /** No more items will come; what is queued is still delivered. */
  finish(): void {
    this.#settle('done');
  }

  /** The iterator throws `error` after what is queued. */
  fail(error: unknown): void {
    this.#settle({ error });
  }

  next(): Promise<IteratorResult<T>> {
    const item = this.#items.shift();
    if (item !== undefined) return Promise.resolve({ done: false, value: item });
    if (this.#end === 'done') return Promise.resolve({ done: true, value: undefined });
    if (this.#end) {
      const { error } = this.#end;
      this.#end = 'done';
      return Promise.reject(error);
    }
    return new Promise((resolve, reject) => (this.#waiting = { resolve, reject }));
  }

  return(): Promise<IteratorResult<T>> {
    if (!this.#end) this.#onReturn();
    this.#items.length = 0;
    this.#end = 'done';
    return Promise.resolve({ done: true, value: undefined });
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  #settle(end: 'done' | { readonly error: unknown }): void {
    if (this.#end) return;
    this.#end = end;
    if (!this.#waiting) return;
    if (end === 'done') this.#waiting.resolve({ done: true, value: undefined });
    else {
      this.#waiting.reject(end.error);
      this.#end = 'done';
    }
    this.#waiting = null;
  }
}
