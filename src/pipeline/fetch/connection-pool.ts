/**
 * The connections: a bounded number of requests at once over all blobs of all loads. Pure scheduling, no I/O.
 *
 * Each load has a share. Within one, sources are asked in the order in which they joined, so that files finish in order and
 * their hashes keep up. Between shares, the one with the fewest requests under way is next. Small urgent ranges of any source go
 * before all bulk. Bulk takes as many connections as the line needs (connection-budget.ts), urgent ranges take any that there
 * may be. A request that is about to end makes way for the next one, so that no round trip leaves the line, or the hash,
 * without work.
 * Guarantees: a share never has more requests than it may have, and all of them together no more than the largest share may; a
 * share that has bulk has one request at least where there is one to be had, so that no load waits for the end of another.
 */

/** Something that has requests to make. */
export interface RequestSource {
  /** The next request, marked as taken; null where there is none of this urgency. */
  takeRequest(urgency: 'urgent' | 'bulk'): PoolRequest | null;
}

/** Performs a request, and tells when the next one may go beside it: little of it is left, or it hangs. It never rejects. */
export type PoolRequest = (onEnding: () => void) => Promise<void>;

/** One load's part of the connections. */
export interface PoolShare {
  join(source: RequestSource): void;
  leave(source: RequestSource): void;
  /** Starts what can be started. Call it whenever a source may have something new. */
  kick(): void;
  /** Its sources are asked no more. */
  close(): void;
}

/** See the file's header. */
export class ConnectionPool {
  readonly #getBulkLimit: () => number;
  readonly #shares = new Set<Share>();
  /** All requests under way; and of these, the ones that are about to end. */
  #active = 0;
  #ending = 0;
  #served = 0;

  constructor(getBulkLimit: () => number) {
    this.#getBulkLimit = getBulkLimit;
  }

  /** Requests at once, of all shares. */
  get most(): number {
    return Math.max(0, ...[...this.#shares].map(({ most }) => most));
  }

  /** `most`: requests of this share at once. */
  openShare(most: number): PoolShare {
    const share: Share = { most, sources: new Set(), active: 0, ending: 0, servedLast: 0 };
    this.#shares.add(share);
    return {
      join: (source) => void share.sources.add(source),
      leave: (source) => void share.sources.delete(source),
      kick: () => this.kick(),
      close: () => {
        this.#shares.delete(share);
        this.kick();
      },
    };
  }

  /** Starts what can be started. */
  kick(): void {
    while (this.#active < this.most) {
      const shares = [...this.#shares]
        .filter(({ active, most }) => active < most)
        .sort((a, b) => a.active - b.active || a.servedLast - b.servedLast);
      const hasWay = this.#active - this.#ending < this.#getBulkLimit();
      const idle = shares.filter(({ active, ending }) => active === ending);
      if (!this.#startOne(shares, 'urgent') && !this.#startOne(hasWay ? shares : idle, 'bulk')) return;
    }
  }

  /** The first request of this urgency that there is. */
  #startOne(shares: readonly Share[], urgency: 'urgent' | 'bulk'): boolean {
    for (const share of shares) {
      for (const source of share.sources) {
        const request = source.takeRequest(urgency);
        if (!request) continue;
        this.#start(share, request);
        return true;
      }
    }
    return false;
  }

  #start(share: Share, request: PoolRequest): void {
    const state = { isEnding: false };
    const count = (active: number, ending: number): void => {
      this.#active += active;
      share.active += active;
      this.#ending += ending;
      share.ending += ending;
    };
    const onEnding = (): void => {
      if (state.isEnding) return;
      state.isEnding = true;
      count(0, 1);
      this.kick();
    };
    share.servedLast = ++this.#served;
    count(1, 0);
    void request(onEnding).finally(() => {
      count(-1, state.isEnding ? -1 : 0);
      state.isEnding = true;
      this.kick();
    });
  }
}

interface Share {
  readonly most: number;
  readonly sources: Set<RequestSource>;
  active: number;
  ending: number;
  /** Counts up. */
  servedLast: number;
}
