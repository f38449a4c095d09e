/**
 * The connections: a bounded number of requests at once over all blobs. Pure scheduling, no I/O.
 *
 * Sources are asked in the order in which they joined: small urgent ranges of any source first, then the bulk of the
 * first source that has some, so that files finish in order and their hashes keep up. Bulk takes as many connections as the
 * line needs (connection-budget.ts), urgent ranges take any that there may be.
 */

/** Something that has requests to make. */
export interface RequestSource {
  /** The next request, marked as taken; null where there is none of this urgency. It never rejects. */
  takeRequest(urgency: 'urgent' | 'bulk'): (() => Promise<void>) | null;
}

/** See the file's header. */
export class ConnectionPool {
  readonly #most: number;
  readonly #getBulkLimit: () => number;
  readonly #sources = new Set<RequestSource>();
  #active = 0;

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
      const request = this.#take('urgent') ?? (this.#active < this.#getBulkLimit() ? this.#take('bulk') : null);
      if (!request) return;
      this.#active++;
      void request().finally(() => {
        this.#active--;
        this.kick();
      });
    }
  }

  #take(urgency: 'urgent' | 'bulk'): (() => Promise<void>) | null {
    for (const source of this.#sources) {
      const request = source.takeRequest(urgency);
      if (request) return request;
    }
    return null;
  }
}
