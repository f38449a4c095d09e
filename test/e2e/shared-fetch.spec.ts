/**
 * One fetch worker for all loads of a page: counted, left by one of them, and killed.
 */
import type { JSHandle, Page } from '@playwright/test';
import type { FaultRule, Hub } from '../hub/index.ts';
import { checkpointFolder, expect, test } from './support.ts';

const IDS = ['test/one', 'test/two'] as const;

/** Two loaders of one page, each in the middle of a load; the page's workers are counted from here on. */
interface Loads {
  /** Names of the fetch workers that were ever started. */
  fetchWorkers(): readonly string[];
  killFetchWorker(): void;
  dispose(index: number): Promise<void>;
  /** `ready`, or the error's code and stage. */
  outcome(index: number): Promise<string>;
  loadAgain(index: number): Promise<string>;
}

async function startLoads(page: Page, hub: Hub): Promise<JSHandle<Loads>> {
  return page.evaluateHandle(
    ([endpoint, ids]) => {
      const { createLoader, isLoadError } = window.firstlight;
      const started: { readonly name: string; readonly worker: Worker }[] = [];
      const RealWorker = window.Worker;
      window.Worker = class extends RealWorker {
        constructor(url: string | URL, options?: WorkerOptions) {
          super(url, options);
          const name = options?.name ?? '';
          if (name.includes('fetch-worker')) started.push({ name, worker: this });
        }
      };
      const loaders = ids.map(() => createLoader({ hub: { endpoint }, bundledBaseUrl: null }));
      const load = async (index: number): Promise<string> => {
        try {
          const model = await loaders[index]?.load(ids[index] ?? '', { device: 'wasm', dtype: 'fp32' });
          await model?.dispose();
          return 'ready';
        } catch (error) {
          return isLoadError(error) ? `${error.code} in ${error.stage}` : String(error);
        }
      };
      const loads = ids.map((_, index) => load(index));
      return {
        fetchWorkers: () => started.map(({ name }) => name),
        // A worker that is terminated says nothing: as silent as one that the browser killed.
        killFetchWorker: () => started[0]?.worker.terminate(),
        dispose: async (index: number) => loaders[index]?.dispose(),
        outcome: async (index: number) => loads[index] ?? 'none',
        loadAgain: load,
      };
    },
    [hub.endpoint, IDS] as const,
  );
}

const SPECS = {
  [IDS[0]]: { main: { directory: checkpointFolder('tiny-llama') ?? '' } },
  [IDS[1]]: { main: { directory: checkpointFolder('tiny-qwen2') ?? '' } },
};

/** Every answer with weights keeps its load waiting. */
const SLOW: FaultRule = {
  fault: { type: 'stall', afterBytes: 0, forMs: 3_000 },
  path: /safetensors$/u,
  times: Infinity,
};

/** Both loads, under way until the hub behaves. */
async function startSlowLoads(page: Page, hub: Hub): Promise<JSHandle<Loads>> {
  hub.misbehave(SLOW);
  const loads = await startLoads(page, hub);
  for (const repository of IDS) {
    await expect.poll(() => hub.requests.entries.some((one) => one.repository === repository && one.fault)).toBe(true);
  }
  return loads;
}

/** Fetch workers that are alive: each holds a lock of its name until it is gone. */
const countAlive = (page: Page): Promise<number> =>
  page.evaluate(async () => {
    const { held = [] } = await navigator.locks.query();
    return held.filter(({ name }) => name?.startsWith('firstlight:fetch-worker:')).length;
  });

test('two loads at once share one fetch worker: one is disposed, the other completes, and the worker ends', async ({
  app,
  openHub,
}) => {
  const hub = await openHub(SPECS);
  const loads = await startSlowLoads(app, hub);
  expect(await loads.evaluate((it) => it.fetchWorkers())).toHaveLength(1);
  expect(await countAlive(app)).toBe(1);
  await loads.evaluate((it) => it.dispose(0));
  expect(await loads.evaluate((it) => it.outcome(0))).toBe('disposed in null');
  // What it was waiting for is let go at once, though its model worker had no time to say so.
  await expect
    .poll(() => hub.requests.entries.filter((one) => one.repository === IDS[0] && one.endedAtMs === null))
    .toEqual([]);
  hub.behave();
  expect(await loads.evaluate((it) => it.outcome(1))).toBe('ready');
  expect(await loads.evaluate((it) => it.fetchWorkers())).toHaveLength(1);
  await expect.poll(() => countAlive(app)).toBe(0);
});

test('a fetch worker that is killed ends every load under way with a type; the next load has another one', async ({
  app,
  openHub,
}) => {
  const hub = await openHub(SPECS);
  const loads = await startSlowLoads(app, hub);
  await loads.evaluate((it) => it.killFetchWorker());
  for (const index of IDS.keys()) {
    expect(await loads.evaluate((it, one) => it.outcome(one), index)).toMatch(/^worker_died in /u);
  }
  hub.behave();
  expect(await loads.evaluate((it) => it.loadAgain(1))).toBe('ready');
  expect(await loads.evaluate((it) => it.fetchWorkers())).toHaveLength(2);
});
