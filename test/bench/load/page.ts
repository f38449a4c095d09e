/**
 * The library as a page uses it, and the floors that it is measured against.
 */
import { createLoader, isLoadError } from '../../../src/index.ts';
import type { Dtype, LoadEvent } from '../../../src/index.ts';
import { serveCalls } from '../support/page-link.ts';
import type { Floor, FloorWorker } from './floor.worker.ts';
import * as Comlink from 'comlink';

/** One load, and its first requests. Times in ms since the call. */
export interface LoadMeasure {
  /** When each stage began and ended. */
  readonly stages: Readonly<Record<string, { readonly startMs: number; readonly endMs: number }>>;
  /** The last byte was on the device. */
  readonly filledMs: number;
  /** The model was ready; null where it was given up before. */
  readonly readyMs: number | null;
  readonly placedBytes: number;
  /** Two requests for one token with equally long prompts that share nothing: the second has nothing left to warm. */
  readonly firstPrefillMs: number;
  readonly secondPrefillMs: number;
  /** Tokens 1 and 2 to 8 of one generation, ms each. */
  readonly tokenMs: readonly number[];
}

/** What a load is followed to: requests, the ready model, the end of stage "place", the last byte on the device. */
export type LoadExtent = 'requests' | 'ready' | 'placed' | 'filled';

/** Times until a refusal, ms. */
export interface Refusal {
  readonly elapsedMs: number;
  readonly planMs: number;
}

const FLOOR = () =>
  Comlink.wrap<FloorWorker>(new Worker(new URL('./floor.worker.ts', import.meta.url), { type: 'module' }));

void serveCalls({
  async clear(): Promise<void> {
    await createLoader().cache.clear();
  },

  async load(endpoint: string, modelId: string, dtype: Dtype, extent: LoadExtent): Promise<LoadMeasure> {
    const loader = createLoader({ hub: { endpoint }, bundledBaseUrl: null });
    const stop = new AbortController();
    const stages: Record<string, { startMs: number; endMs: number }> = {};
    let placedBytes = 0;
    const startMs = performance.now();
    const onProgress = (event: LoadEvent): void => {
      const atMs = performance.now() - startMs;
      if (event.type === 'plan') placedBytes = event.plan.costs.weightBytes;
      if (event.type === 'stageStart') stages[event.stage] = { startMs: atMs, endMs: NaN };
      if (event.type !== 'stageEnd') return;
      Object.assign(stages[event.stage] ?? {}, { endMs: atMs });
      const isFilled = ['fetch', 'fill'].every((stage) => !Number.isNaN(stages[stage]?.endMs ?? NaN));
      if (extent === 'placed' ? event.stage === 'place' : extent === 'filled' && isFilled) stop.abort();
    };
    const options = { dtype, device: 'webgpu', onProgress, signal: stop.signal } as const;
    const model = await loader.load(modelId, options).catch((error: unknown) => {
      if (stop.signal.aborted && isLoadError(error) && error.code === 'aborted') return null;
      throw error;
    });
    const readyMs = model && performance.now() - startMs;
    const timeTo = async (prompt: number[], count: number): Promise<number[]> => {
      const times: number[] = [];
      if (!model || extent !== 'requests') return times;
      let lastMs = performance.now();
      for await (const _ of model.generate(prompt, {
        max_new_tokens: count,
        min_new_tokens: count,
        do_sample: false,
      })) {
        times.push(performance.now() - lastMs);
        lastMs = performance.now();
      }
      return times;
    };
    const prompt = (seed: number): number[] => Array.from({ length: 16 }, (_, index) => (index * 37 + seed) % 1000);
    const [firstPrefillMs = 0] = await timeTo(prompt(1), 1);
    const [secondPrefillMs = 0] = await timeTo(prompt(501), 1);
    const tokenMs = await timeTo(prompt(301), 8);
    await model?.dispose();
    await loader.dispose();
    const filledMs = Math.max(stages['fetch']?.endMs ?? NaN, stages['fill']?.endMs ?? NaN);
    return { stages, filledMs, readyMs, placedBytes, firstPrefillMs, secondPrefillMs, tokenMs };
  },

  /** A load that cannot fit WebAssembly's 4 GiB: ms until it says so, since the call and since the headers were asked for. */
  async refuse(endpoint: string, modelId: string): Promise<Refusal> {
    const loader = createLoader({ hub: { endpoint }, bundledBaseUrl: null });
    const startMs = performance.now();
    let plansMs = NaN;
    const onProgress = (event: LoadEvent): void => {
      if (event.type === 'stageStart' && event.stage === 'plan') plansMs = performance.now();
    };
    try {
      await (await loader.load(modelId, { device: 'wasm', dtype: 'q4', onProgress })).dispose();
      throw new Error('It was loaded.');
    } catch (error) {
      if (!isLoadError(error) || error.code !== 'does_not_fit') throw error;
      const endMs = performance.now();
      return { elapsedMs: endMs - startMs, planMs: endMs - plansMs };
    } finally {
      await loader.dispose();
    }
  },

  async plain(url: string): Promise<number> {
    const startMs = performance.now();
    const reader = (await fetch(url, { cache: 'no-store' })).body?.getReader();
    while (!(await reader?.read())?.done);
    return performance.now() - startMs;
  },

  /** Reading so many bytes from a file and handing them to the GPU. */
  async floor(sizeBytes: number): Promise<Floor> {
    const worker = FLOOR();
    return worker.readAndUpload(sizeBytes);
  },
});
