/**
 * The connections: a bounded number of requests at once over all blobs. Pure scheduling, no I/O.
 *
 * Sources are asked in the order in which they joined: small urgent ranges of any source first, then the bulk of the
 * first source that has some, so that files finish in order and their hashes keep up.
 */

/** Something that has requests to make. */
export interface RequestSource {
  /** The next request, marked as taken; null where there is none of this urgency. It never rejects. */
  takeRequest(urgency: 'urgent' | 'bulk'): (() => Promise<void>) | null;
}

/** See the file's header. */
export class ConnectionPool {
  readonly #limit: number;
  readonly #sources = new Set<RequestSource>();
  #active = 0;

  constructor(limit: number) {
    this.#limit = limit;
  }

  join(source: RequestSource): void {
    this.#sources.add(source);
  }

  leave(source: RequestSource): void {
    this.#sources.delete(source);
  }

  /** Starts what can be started. Call it whenever a source may have something new. */
  kick(): void {
    while (this.#active < this.#limit) {
      const request = this.#take('urgent') ?? this.#take('bulk');
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
