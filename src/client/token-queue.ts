/**
 * Turns pushed items into an async iterator: what a worker's callback delivers becomes `for await`.
 *
 * Guarantees: items come in the order in which they were pushed; every `next()` settles, in the order of the calls, however
 * many are called at once, and whether the producer ends, fails, or the consumer leaves.
 */

/** A queue with one producer and one consumer. */
export class TokenQueue<T> implements AsyncIterableIterator<T> {
  readonly #items: T[] = [];
  readonly #waiting: { resolve(result: IteratorResult<T>): void; reject(error: unknown): void }[] = [];
  readonly #onReturn: () => void;
  #ended = false;
  /** Thrown once, after the items. */
  #failure: { readonly error: unknown } | null = null;

  /** `onReturn` is called when the consumer leaves the loop early. */
  constructor(onReturn: () => void) {
    this.#onReturn = onReturn;
  }

  push(item: T): void {
    if (this.#ended) return;
    this.#items.push(item);
    this.#serve();
  }

  /** No more items will come; what is queued is still delivered. */
  finish(): void {
    this.#end(null);
  }

  /** The iterator throws `error` after what is queued. */
  fail(error: unknown): void {
    this.#end({ error });
  }

  next(): Promise<IteratorResult<T>> {
    return new Promise((resolve, reject) => {
      this.#waiting.push({ resolve, reject });
      this.#serve();
    });
  }

  return(): Promise<IteratorResult<T>> {
    const wasEnded = this.#ended;
    this.#items.length = 0;
    this.#failure = null;
    this.#end(null);
    if (!wasEnded) this.#onReturn();
    return Promise.resolve({ done: true, value: undefined });
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  #end(failure: { readonly error: unknown } | null): void {
    if (!this.#ended) this.#failure = failure;
    this.#ended = true;
    this.#serve();
  }

  /** Gives those who wait what there is: items, then the failure, then the end. */
  #serve(): void {
    while (this.#waiting.length > 0 && (this.#items.length > 0 || this.#ended)) {
      const waiting = this.#waiting.shift();
      const failure = this.#failure;
      if (this.#items.length > 0) waiting?.resolve({ done: false, value: this.#items.shift() as T });
      else if (failure) {
        this.#failure = null;
        waiting?.reject(failure.error);
      } else waiting?.resolve({ done: true, value: undefined });
    }
  }
}
