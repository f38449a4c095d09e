/**
 * The connections: a bounded number of requests at once over all blobs. Pure scheduling, no I/O.
 *
 * Sources are asked in the order in which they joined: small urgent ranges of any source first, then the bulk of the
 * first source that has some, so that files finish in order and their hashes keep up. Bulk takes as many connections as the
 * line needs (connection-budget.ts), urgent ranges take any that there may be. A request that is about to end makes way for
 * the next one, so that no round trip leaves the line, or the hash, without work.
 */

/** Something that has requests to make. */
export interface RequestSource {
  /** The next request, marked as taken; null where there is none of this urgency. */
  takeRequest(urgency: 'urgent' | 'bulk'): PoolRequest | null;
}

/** Performs a request, and tells when the next one may go beside it: little of it is left, or it hangs. It never rejects. */
export type PoolRequest = (onEnding: () => void) => Promise<void>;

/** See the file's header. */
export class ConnectionPool {
  readonly #most: number;
  readonly #getBulkLimit: () => number;
  readonly #sources = new Set<RequestSource>();
  /** All requests under way; and of these, the ones that are about to end. */
  #active = 0;
  #ending = 0;

  constructor(most: number, getBulkLimit: () => number) {
    this.#most = most;
    this.#getBulkLimit = getBulkLimit;
  }

  join(source: RequestSource): void {
    this.#sources.add(source);
  }

  leave(source: RequestSource): void {
    this.#sources.delete(source);
  }

  /** Starts what can be started. Call it whenever a source may have something new. */
  kick(): void {
    while (this.#active < this.#most) {
      const hasWay = this.#active - this.#ending < this.#getBulkLimit();
      const request = this.#take('urgent') ?? (hasWay ? this.#take('bulk') : null);
      if (!request) return;
      this.#start(request);
    }
  }

  #start(request: PoolRequest): void {
    const state = { isEnding: false };
    const onEnding = (): void => {
      if (state.isEnding) return;
      state.isEnding = true;
      this.#ending++;
      this.kick();
    };
    this.#active++;
    void request(onEnding).finally(() => {
      this.#active--;
      if (state.isEnding) this.#ending--;
      state.isEnding = true;
      this.kick();
    });
  }

  #take(urgency: 'urgent' | 'bulk'): PoolRequest | null {
    for (const source of this.#sources) {
      const request = source.takeRequest(urgency);
      if (request) return request;
    }
    return null;
  }
}
