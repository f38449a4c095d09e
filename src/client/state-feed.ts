/**
 * The state of one model, as its worker tells it.
 *
 * In: what the load yielded, and states as they come. Out: the state of now, and calls to those who listen. Guarantees: a
 * state that comes before the load's own answer (a device may be lost that early) is not forgotten; a listener that throws
 * keeps no other from hearing.
 */
import { assert } from '../base/assert.ts';
import type { LoadReport, ModelInfo } from '../contract/load.ts';
import type { ModelState } from '../contract/model-state.ts';
import { callPage } from './page-callback.ts';

/** See the file's header. */
export class StateFeed {
  readonly #listeners = new Set<(state: ModelState) => unknown>();
  #state: ModelState | null = null;
  #ready: { readonly info: ModelInfo; readonly report: LoadReport } | null = null;

  /** What the load yielded. */
  begin({ info, report }: { readonly info: ModelInfo; readonly report: LoadReport }): void {
    this.#ready ??= { info, report };
    this.#state ??= { status: 'ready', info, report };
  }

  /** A property, so that it can be handed over as a callback. */
  readonly push = (state: ModelState): void => {
    this.#state = state;
    if (state.status === 'ready') this.#ready = state;
    for (const listener of this.#listeners) callPage(listener, state);
  };

  listen(listener: (state: ModelState) => void): () => void {
    // Another function each time: the same listener may be added twice, and each is ended by its own.
    const own = (state: ModelState): unknown => listener(state);
    this.#listeners.add(own);
    return () => void this.#listeners.delete(own);
  }

  get state(): ModelState {
    assert(this.#state, 'a model has a state once it is loaded');
    return this.#state;
  }

  get info(): ModelInfo {
    assert(this.#ready, 'a model was loaded once');
    return this.#ready.info;
  }

  get report(): LoadReport {
    assert(this.#ready, 'a model was loaded once');
    return this.#ready.report;
  }
}
