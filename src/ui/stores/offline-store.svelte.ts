/**
 * What the page says about working offline and about new versions.
 *
 * In: the load store. Out: runes that the hint reads.
 * Guarantees: a reload for a new version first ends what this tab runs; where it is refused, nothing was ended in vain
 * as far as that can be known beforehand (another tab is asked about first).
 */
import { keepOffline, keepRuntime, requestTakeOver } from '../offline.ts';
import type { OfflineReach } from '../offline.ts';
import type { LoadStore } from './load-store.svelte.ts';

/** How it stands with a new version. */
export type UpdateState = 'none' | 'waiting' | 'taking' | 'other-tabs' | 'busy';

/** See the file's header. */
export class OfflineStore {
  reach = $state<OfflineReach>('none');
  update = $state<UpdateState>('none');

  readonly #load: LoadStore;

  constructor(load: LoadStore) {
    this.#load = load;
  }

  /** Registers the service worker. */
  async start(): Promise<void> {
    await keepOffline({
      onReach: (reach) => (this.reach = reach),
      onUpdate: () => (this.update = 'waiting'),
    });
  }

  /** To be called when a model is loaded. */
  async noteModel(): Promise<void> {
    this.reach = await keepRuntime();
  }

  /** The person asked for the new version. */
  async takeUpdate(): Promise<void> {
    this.update = 'taking';
    let answer = await requestTakeOver();
    if (answer === 'busy' && (this.#load.busy || this.#load.model !== null)) {
      await this.#endLoad();
      answer = await requestTakeOver();
    }
    if (answer === 'accepted') return; // the page goes away
    // No version waits any more: it is active already, or a newer one is on its way.
    if (answer === 'none') location.reload();
    else this.update = answer;
  }

  /** Not now; the next visit takes it anyway. */
  dismissUpdate(): void {
    this.update = 'none';
  }

  async #endLoad(): Promise<void> {
    this.#load.cancel();
    while (this.#load.busy) await new Promise((resolve) => setTimeout(resolve, 50));
    await this.#load.unload();
  }
}
