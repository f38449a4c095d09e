/**
 * A GPU device that is lost: noticed, and the model rebuilt from the cache on another one, without being asked.
 */
import type { JSHandle, Page, Worker } from '@playwright/test';
import type { Model, ModelState } from '../../src/index.ts';
import { findModelWorker, ID, openTiny, openTinyInWorker } from './model-worker.ts';
import { bundledModelId, expect, test } from './support.ts';

const PROMPT = [1, 17, 201, 45, 99, 3, 150];

/** A browser of its own: each crash of a GPU process is held against the whole browser. */
const crashTest = test.extend({
  page: async ({ playwright, launchOptions, baseURL }, use) => {
    const browser = await playwright.chromium.launch(launchOptions);
    await use(await browser.newPage({ ...(baseURL ? { baseURL } : {}), serviceWorkers: 'block' }));
    await browser.close();
  },
});

crashTest('a GPU process that crashes in mid-generation: rebuilt without network', async ({ app, openHub }) => {
  const { hub, loader } = await openTiny(app, openHub);
  const model = await loader.evaluateHandle((it, id) => it.load(id, { device: 'webgpu', dtype: 'fp32' }), ID);
  await recordStates(model);
  const before = await generate(model, 12);
  expect(before.code).toBeNull();
  await hub.close(); // whatever the rebuild needs is in the cache

  const interrupted = generate(model, 500, 5);
  await expect(app).toHaveTitle('generating');
  await crashGpu(app);
  const { code, message, retryable, ids } = await interrupted;
  expect({ code, retryable }).toEqual({ code: 'device_lost', retryable: true });
  expect(message).toMatch(/being rebuilt from the cache: send the request again/u);
  expect(ids.slice(0, 5)).toEqual(before.ids.slice(0, 5));

  // Sent while it is rebuilt: one waits, one is cancelled while it waits.
  expect(await model.evaluate(({ state }) => state.status)).toBe('rebuilding');
  const waiting = generate(model, 12);
  expect(await cancelAfter(model, 50)).toBe('aborted');
  expect(await waiting).toEqual(before);
  expect(await statesOf(model)).toEqual(['rebuilding', 'ready']);
  const { bytes, status } = await model.evaluate((it) => ({ bytes: it.report.bytes, status: it.state.status }));
  expect(bytes.fromNetwork).toBe(0);
  expect(status).toBe('ready');
});

crashTest(
  'a GPU process that crashes under a model that is kept nowhere: downloaded again, and rebuilt @long',
  async ({ app, openHub }) => {
    const { loader } = await openTiny(app, openHub);
    const options = { device: 'webgpu', dtype: 'fp32', cache: 'none' } as const;
    const model = await loader.evaluateHandle((it, [id, load]) => it.load(id, load), [ID, options] as const);
    await recordStates(model);
    const before = await generate(model, 8);
    expect(before.code).toBeNull();
    await crashGpu(app);
    await expect.poll(() => statesOf(model)).toEqual(['rebuilding', 'ready']);
    expect(await generate(model, 8)).toEqual(before);
    const { bytes, storage } = await model.evaluate((it) => it.report);
    expect(bytes.fromNetwork).toBeGreaterThan(0);
    expect(storage.kind).toBe('none');
  },
);

crashTest('no adapter comes back: a bounded number of attempts, then no_adapter @long', async ({ app, openHub }) => {
  const { loader } = await openTiny(app, openHub);
  const model = await loader.evaluateHandle((it, id) => it.load(id, { device: 'webgpu', dtype: 'fp32' }), ID);
  await recordStates(model);
  await crashGpu(app);
  await expect.poll(() => statesOf(model)).toEqual(['rebuilding', 'ready']);
  // After its second crash Chromium gives the page no adapter any more.
  await crashGpu(app);
  await expect.poll(() => model.evaluate(({ state }) => state.status)).toBe('failed');
  const after = await generate(model, 3);
  expect(after).toMatchObject({ code: 'no_adapter', retryable: false, ids: [] });
  expect(after.message).toMatch(/could not be rebuilt in 6 attempts/u);
  expect(await model.evaluate((it) => it.tokenize([1, 2]))).toEqual([1, 2]);
  expect(await model.evaluate((it) => it.dispose().then(() => 'disposed'))).toBe('disposed');
});

const ROUNDS = 3;
test('a device lost between two requests, again and again: the next finds another @long', async ({ app, openHub }) => {
  const { loader, worker } = await openTinyInWorker(app, openHub);
  await keepDevices(worker);
  const model = await loader.evaluateHandle((it, id) => it.load(id, { device: 'webgpu', dtype: 'fp32' }), ID);
  await recordStates(model);
  const before = await generate(model, 8);
  for (let round = 1; round <= ROUNDS; round++) {
    const rebuilding = nextState(model, 'rebuilding');
    await loseDevice(worker);
    await rebuilding; // nobody asked for anything
    expect(await generate(model, 8)).toEqual(before);
    expect(await statesOf(model)).toEqual(Array(round).fill(['rebuilding', 'ready']).flat());
  }
  const devices = await worker.evaluate(() => (self as unknown as { devices: GPUDevice[] }).devices.length);
  expect(devices).toBe(1 + ROUNDS);
  // The devices before hold nothing; this one holds what the first held.
  const memory = await model.evaluate((it) => it.memory());
  expect(memory.gpu?.liveBytesByPurpose.weights).toBe(await model.evaluate((it) => it.report.memory.weightBytes));
});

test('dispose ends a rebuild and gives everything back @long', async ({ app, openHub }) => {
  const { loader, worker } = await openTinyInWorker(app, openHub);
  await keepDevices(worker);
  const model = await loader.evaluateHandle((it, id) => it.load(id, { device: 'webgpu', dtype: 'fp32' }), ID);
  await recordStates(model);
  const rebuilding = nextState(model, 'rebuilding');
  await loseDevice(worker);
  await rebuilding;
  const waiting = generate(model, 3);
  await model.evaluate((it) => it.dispose());
  expect(await waiting).toMatchObject({ code: 'disposed' });
  expect(await statesOf(model)).toEqual(['rebuilding']);
  // Every device that was asked for is gone.
  const open = await worker.evaluate(async () => {
    const { devices } = self as unknown as { devices: GPUDevice[] };
    const gone = devices.map((device) => device.lost.then(() => true));
    const patience = new Promise<boolean>((resolve) => setTimeout(() => resolve(false), 5_000));
    return (await Promise.all(gone.map((it) => Promise.race([it, patience])))).filter((it) => !it).length;
  });
  expect(open).toBe(0);
});

test('the page says that the model is being rebuilt @long', async ({ app }) => {
  const id = await bundledModelId(app);
  // Keeps the worker of the page's own loader alive, so that it can be patched before the form loads.
  await app.evaluate((it) => window.firstlight.loader.load(it, { device: 'wasm' }).then(() => undefined), id);
  const worker = await findModelWorker(app);
  await keepDevices(worker);
  await app.getByLabel('Device', { exact: true }).selectOption('webgpu');
  await app.getByRole('button', { name: 'Load', exact: true }).click();
  await expect(app.getByTestId('answer').first()).not.toBeEmpty();
  await loseDevice(worker);
  const note = app.getByRole('status', { name: 'Model state' });
  await expect(note).toHaveText(/being rebuilt from the cache/u);
  await expect(app.getByRole('alert')).toHaveAttribute('data-code', 'device_lost');
  await expect(note).toHaveText('');
  await app.getByRole('textbox', { name: 'Prompt' }).fill('Tell me a story about a dog.');
  await app.getByRole('button', { name: 'Generate' }).click();
  await expect(app.getByRole('alert')).toHaveCount(0);
  await expect(app.getByTestId('answer').last()).not.toBeEmpty();
});

interface Outcome {
  readonly ids: number[];
  readonly code: string | null;
  readonly message: string;
  readonly retryable: boolean;
}

/** Generates greedily; sets the page's title after so many tokens. */
function generate(model: JSHandle<Model>, count: number, titleAfter = 0): Promise<Outcome> {
  return model.evaluate(
    async (it, [prompt, tokens, title]) => {
      const ids: number[] = [];
      try {
        const options = { max_new_tokens: tokens, min_new_tokens: tokens, do_sample: false };
        for await (const { id } of it.generate(prompt, options)) {
          if (ids.push(id) === title) document.title = 'generating';
        }
        return { ids, code: null, message: '', retryable: false };
      } catch (error) {
        if (!window.firstlight.isLoadError(error)) throw error;
        return { ids, code: error.code, message: error.message, retryable: error.retryable };
      }
    },
    [PROMPT, count, titleAfter] as const,
  );
}

function cancelAfter(model: JSHandle<Model>, delayMs: number): Promise<string> {
  return model.evaluate(async (it, wait) => {
    try {
      await it.logits([1, 2, 3], { signal: AbortSignal.timeout(wait) });
      return 'answered';
    } catch (error) {
      return window.firstlight.isLoadError(error) ? error.code : String(error);
    }
  }, delayMs);
}

type Recorded = Model & { states?: ModelState[] };

function recordStates(model: JSHandle<Model>): Promise<void> {
  return model.evaluate((it: Recorded) => {
    const states: ModelState[] = [];
    it.states = states;
    it.onStateChange((state) => states.push(state));
  });
}

/** Statuses in order, attempts of one rebuild as one. */
async function statesOf(model: JSHandle<Model>): Promise<string[]> {
  const all = await model.evaluate((it: Recorded) => (it.states ?? []).map(({ status }) => status));
  return all.filter((status, index) => status !== all[index - 1]);
}

function nextState(model: JSHandle<Model>, status: ModelState['status']): Promise<void> {
  return model.evaluate(
    (it, wanted) =>
      new Promise<void>((resolve) => {
        const stop = it.onStateChange((state) => {
          if (state.status !== wanted) return;
          stop();
          resolve();
        });
      }),
    status,
  );
}

/** Remembers every device that the worker makes from now on. */
function keepDevices(worker: Worker): Promise<void> {
  return worker.evaluate(() => {
    const devices: GPUDevice[] = [];
    Object.assign(self, { devices });
    const patch = <T extends object, K extends keyof T>(of: T, name: K, make: (original: T[K]) => T[K]): void => {
      of[name] = make(of[name]);
    };
    patch(GPUAdapter.prototype, 'requestDevice', (original) => {
      return async function (this: GPUAdapter, descriptor) {
        const device = await original.call(this, descriptor);
        devices.push(device);
        return device;
      };
    });
  });
}

/** Destroys the newest device behind the model's back. */
function loseDevice(worker: Worker): Promise<void> {
  return worker.evaluate(() => {
    (self as unknown as { devices: GPUDevice[] }).devices.at(-1)?.destroy();
  });
}

async function crashGpu(page: Page): Promise<void> {
  const session = await page.context().browser()?.newBrowserCDPSession();
  await session?.send('Browser.crashGpuProcess').catch(() => undefined); // the answer may be lost with the process
}
