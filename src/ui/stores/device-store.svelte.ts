/**
 * What this browser and machine offer: GPU, isolation, storage.
 *
 * In: a loader. Out: runes that components read.
 * Guarantees: `adapter` is undefined while it is unknown and null where there is none; a failure to find out counts
 * as none and is told.
 */
import type { AdapterInfo } from '../../contract/load.ts';
import type { Loader } from '../../client/loader.ts';

/** Room for this site, as the browser estimates it. */
export interface StorageRoom {
  readonly usedBytes: number;
  readonly quotaBytes: number;
}

/** The device that the page runs on. */
export class DeviceStore {
  adapter = $state.raw<AdapterInfo | null | undefined>(undefined);
  adapterProblem = $state<string | null>(null);
  storage = $state.raw<StorageRoom | null>(null);
  bundled = $state.raw<readonly { readonly modelId: string; readonly sizeBytes: number }[]>([]);
  /** Whether {@link bundled} is the answer, or the answer is still on its way. */
  bundledKnown = $state(false);
  readonly isolated = globalThis.crossOriginIsolated;
  readonly threads = navigator.hardwareConcurrency;
  readonly halfPrecision = $derived(this.adapter?.features.includes('shader-f16') ?? false);

  /** Asks for everything; each answer shows as it comes. */
  async discover(loader: Loader): Promise<void> {
    await Promise.all([this.#findAdapter(loader), this.#findBundled(loader), this.measureStorage()]);
  }

  /** Asks the browser again how much room there is. */
  async measureStorage(): Promise<void> {
    try {
      const { usage = 0, quota = 0 } = await navigator.storage.estimate();
      this.storage = { usedBytes: usage, quotaBytes: quota };
    } catch {
      // Absent outside secure contexts: the panel then shows no figure.
      this.storage = null;
    }
  }

  async #findAdapter(loader: Loader): Promise<void> {
    try {
      this.adapter = await loader.adapter();
    } catch (error) {
      this.adapter = null;
      this.adapterProblem = error instanceof Error ? error.message : String(error);
    }
  }

  async #findBundled(loader: Loader): Promise<void> {
    try {
      this.bundled = await loader.bundled();
    } catch {
      // No bundled models: the field stays empty and a hub's id can still be typed.
      this.bundled = [];
    }
    this.bundledKnown = true;
  }
}
