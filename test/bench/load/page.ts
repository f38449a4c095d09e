/**
 * The library as a page uses it, and the floors that it is measured against.
 */
import { createLoader, isLoadError } from '../../../src/index.ts';
import type { Dtype, LoadReport } from '../../../src/index.ts';
import { serveCalls } from '../support/page-link.ts';
import type { FloorWorker } from './floor.worker.ts';
import * as Comlink from 'comlink';

/** One load, and its first requests. */
export interface LoadMeasure {
  readonly report: LoadReport;
  /** From the call to the ready model. */
  readonly readyMs: number;
  /** Two requests for one token with equally long prompts that share nothing: the second has nothing left to warm. */
  readonly firstPrefillMs: number;
  readonly secondPrefillMs: number;
  /** Tokens 1 and 2 to 8 of one generation, ms each. */
  readonly tokenMs: readonly number[];
}

const FLOOR = () =>
  Comlink.wrap<FloorWorker>(new Worker(new URL('./floor.worker.ts', import.meta.url), { type: 'module' }));

void serveCalls({
  async clear(): Promise<void> {
    await createLoader().cache.clear();
  },

  async load(endpoint: string, modelId: string, dtype: Dtype, requests: boolean): Promise<LoadMeasure> {
    const loader = createLoader({ hub: { endpoint }, bundledBaseUrl: null });
    const startMs = performance.now();
    const model = await loader.load(modelId, { dtype, device: 'webgpu' });
    const readyMs = performance.now() - startMs;
    const timeTo = async (prompt: number[], count: number): Promise<number[]> => {
      const times: number[] = [];
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
    const [firstPrefillMs = 0] = requests ? await timeTo(prompt(1), 1) : [];
    const [secondPrefillMs = 0] = requests ? await timeTo(prompt(501), 1) : [];
    const tokenMs = requests ? await timeTo(prompt(301), 8) : [];
    const { report } = model;
    await model.dispose();
    await loader.dispose();
    return { report, readyMs, firstPrefillMs, secondPrefillMs, tokenMs };
  },

  /** A load that cannot fit: ms until it says so, the headers' arrival included. */
  async refuse(endpoint: string, modelId: string): Promise<{ code: string; elapsedMs: number }> {
    const loader = createLoader({ hub: { endpoint }, bundledBaseUrl: null });
    const startMs = performance.now();
    try {
      const options = { device: 'webgpu', dtype: 'fp32', simulatedLimits: { maxBufferBytes: 2048 } } as const;
      await (await loader.load(modelId, options)).dispose();
      return { code: 'none', elapsedMs: 0 };
    } catch (error) {
      return { code: isLoadError(error) ? error.code : String(error), elapsedMs: performance.now() - startMs };
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

  /** Reading so many bytes from a file and handing them to the GPU, ms. */
  async floor(sizeBytes: number): Promise<number> {
    const worker = FLOOR();
    return worker.readAndUpload(sizeBytes);
  },
});
