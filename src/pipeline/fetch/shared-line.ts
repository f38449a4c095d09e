/**
 * What all loads of a page share, because there is one line, one disk and one set of cores: connections and how many of them the
 * line needs, pauses that hosts asked for, buffers, and the hash worker. What a load has for itself: its tuning.
 */
import type { BufferPool } from '../../base/buffer-pool.ts';
import { HasherFactory } from '../../store/file-hasher.ts';
import { createBodyBuffers } from './body-reader.ts';
import { ConnectionBudget } from './connection-budget.ts';
import { ConnectionPool } from './connection-pool.ts';
import type { PoolShare } from './connection-pool.ts';
import { HostPauses } from './host-pauses.ts';
import type { LoadPauses } from './host-pauses.ts';
import type { FetchTuning } from './tuning.ts';

/** One a fetch worker. */
export interface SharedLine {
  readonly pool: ConnectionPool;
  readonly budget: ConnectionBudget;
  readonly pauses: HostPauses;
  readonly buffers: BufferPool;
  readonly hashers: HasherFactory;
}

/** One load's part of it. */
export interface LoadLine {
  readonly pool: PoolShare;
  readonly budget: ConnectionBudget;
  readonly pauses: LoadPauses;
  readonly buffers: BufferPool;
  readonly hashers: HasherFactory;
  readonly tuning: FetchTuning;
}

export function createSharedLine(startHashWorker: (name: string) => Worker): SharedLine {
  const budget: ConnectionBudget = new ConnectionBudget(() => pool.most);
  const pool = new ConnectionPool(() => budget.limit);
  const buffers = createBodyBuffers();
  return {
    pool,
    budget,
    pauses: new HostPauses(() => pool.kick()),
    buffers,
    hashers: new HasherFactory(startHashWorker, buffers),
  };
}

/** `onPause` is told why requests of this load wait. Close the share of the pool at the load's end. */
export function openLoadLine(
  { pool, budget, pauses, buffers, hashers }: SharedLine,
  tuning: FetchTuning,
  onPause: (message: string) => void,
): LoadLine {
  return {
    pool: pool.openShare(tuning.connections),
    budget,
    pauses: pauses.openFor(onPause),
    buffers,
    hashers,
    tuning,
  };
}
