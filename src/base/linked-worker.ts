/**
 * The other end of a {@link WorkerLink}: what a worker does to be called, watched and cancelled.
 */
import * as Comlink from 'comlink';
import type { OperationId } from '../contract/worker-api.ts';
import { installErrorTransfer } from './comlink-errors.ts';
import { holdForLife, LIFE_LOCK_HELD } from './life-lock.ts';
import { watchPolicy } from './policy-violations.ts';

/**
 * To be called once, at the worker's top level: offers an API to whoever has started this worker, and holds the lock by which
 * its end is noticed. `hasLocks` tells whether this browser gives the page locks at all.
 */
export function answerLink(makeApi: (hasLocks: Promise<boolean>) => object): void {
  installErrorTransfer();
  watchPolicy();
  const hasLocks = holdForLife(self.name);
  Comlink.expose(makeApi(hasLocks));
  // Where there are no locks, only error events tell.
  void hasLocks.then((isHeld) => isHeld && self.postMessage(LIFE_LOCK_HELD));
}

/** The calls under way that can be cancelled. An AbortSignal cannot cross to a worker: an id stands for it. */
export class Operations {
  readonly #running = new Map<OperationId, AbortController>();

  /** Runs `work` with a signal that {@link cancel} fires. */
  async run<T>(operation: OperationId, work: (signal: AbortSignal) => Promise<T>): Promise<T> {
    const controller = new AbortController();
    this.#running.set(operation, controller);
    try {
      return await work(controller.signal);
    } finally {
      this.#running.delete(operation);
    }
  }

  /** An operation that has ended, or is not known, is none. */
  cancel(operation: OperationId): void {
    this.#running.get(operation)?.abort(new DOMException('Cancelled by the caller.', 'AbortError'));
  }
}
