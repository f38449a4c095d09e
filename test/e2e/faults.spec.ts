/**
 * What fails on a device: memory at any buffer, the device itself in any stage. The error says so with numbers, everything is
 * given back, and a later load in the same worker works.
 */
import type { JSHandle, Worker } from '@playwright/test';
import type { Loader, LoadError, Model } from '../../src/index.ts';
import { meddle, readAccount, setFault, struckBy } from './gpu-faults.ts';
import type { Fault } from './gpu-faults.ts';
import { makeLargeVocabulary } from './large-vocabulary.ts';
import { findModelWorker, ID, openLoader, openTinyInWorker } from './model-worker.ts';
import { checkpointFolder, expect, test, tryOn } from './support.ts';

const LARGE = 'test/large';

const oom = { kind: 'out-of-memory', at: 'createBuffer' } as const;
const NOTHING_LEFT = { liveBuffers: 0, liveBytes: 0, liveDevices: 0 };
const lost = { kind: 'lost', at: 'createBuffer' } as const;

// Each kind of buffer and each stage once; more of the same takes the software GPU a minute.
for (const all of [false, true]) {
  const suffix = all ? ', at more buffers @long' : '';

  test(`an allocation that fails: out_of_memory with numbers, and all is given back${suffix}`, async ({
    app,
    openHub,
  }) => {
    const { loader, worker } = await openTinyInWorker(app, openHub);
    const weightCount = await countWeights(loader);
    await meddle(worker);
    const weights = all ? [0, 1, Math.floor(weightCount / 2), weightCount - 1] : [0, weightCount - 1];
    for (const fault of [
      ...weights.map((index) => ({ ...oom, purpose: 'weights', index }) as const),
      { ...oom, purpose: 'kvCache', index: 1 } as const,
    ]) {
      const failure = await loadWith(loader, worker, fault);
      expect(await struckBy(worker)).not.toBeNull();
      expect(failure, JSON.stringify(fault)).toMatchObject({ code: 'out_of_memory', stage: 'place' });
      expect(failure?.detail).toMatchObject({ weightBytes: expect.any(Number), kvCacheBytes: expect.any(Number) });
      expect(failure?.message).toMatch(/no room for \d+ bytes of weights and \d+ of KV cache/u);
      expect(await readAccount(worker)).toMatchObject(NOTHING_LEFT);
    }
    for (const index of all ? [0, 1, 20, 40] : [0]) {
      const failure = await loadWith(loader, worker, { ...oom, purpose: 'runtime', index });
      expect(await struckBy(worker)).toBe('runtime');
      expect(failure, `the runtime's buffer ${index}`).toMatchObject({ code: 'out_of_memory', stage: 'warmUp' });
      expect(failure?.detail).toMatchObject({ liveBytes: expect.any(Number), liveBuffers: expect.any(Number) });
      expect(await readAccount(worker)).toMatchObject(NOTHING_LEFT);
    }
    expect(await loadWith(loader, worker, null)).toBeNull();
    expect(await readAccount(worker)).toMatchObject(NOTHING_LEFT);
  });

  test(`a device that is lost during a load: device_lost, and all is given back${suffix}`, async ({ app, openHub }) => {
    const { loader, worker } = await openTinyInWorker(app, openHub);
    const weightCount = await countWeights(loader);
    await meddle(worker);
    const write = { ...lost, at: 'writeBuffer', purpose: 'weights' } as const;
    const faults: readonly (readonly [name: string, fault: Fault])[] = [
      ['reserving', { ...lost, purpose: 'weights', index: 1 }],
      ['filling', { ...write, index: 0 }],
      ['warming up', { ...lost, purpose: 'runtime', index: 2 }],
    ];
    const more: typeof faults = [
      ['the last thing that is reserved', { ...lost, purpose: 'kvCache', index: 3 }],
      ['filling, at its end', { ...write, index: weightCount - 2 }],
      ['warming up, later', { ...lost, purpose: 'runtime', index: 60 }],
    ];
    for (const [name, fault] of all ? [...faults, ...more] : faults) {
      const failure = await loadWith(loader, worker, fault);
      expect(await struckBy(worker), name).not.toBeNull();
      expect(failure, name).toMatchObject({ code: 'device_lost', retryable: true });
      expect(await readAccount(worker), name).toMatchObject(NOTHING_LEFT);
    }
    if (all) expect(await loadWith(loader, worker, null)).toBeNull();
  });
}

// Rebuilding takes a software GPU as long as a load: `npm test` rebuilds once, after a crash (rebuild.spec.ts).
test('an allocation that fails in mid-generation: out_of_memory, and the model is rebuilt @long', async ({
  app,
  openHub,
}) => {
  const { loader, worker } = await openTinyInWorker(app, openHub);
  const onWasm = await loader.evaluateHandle((it, id) => it.load(id, { device: 'wasm', dtype: 'fp32' }), ID);
  await meddle(worker);
  const model = await loader.evaluateHandle((it, id) => it.load(id, { device: 'webgpu', dtype: 'fp32' }), ID);
  // Longer than any prompt before it: the runtime's pools hold no buffers of that size.
  const prompt = Array.from({ length: 400 }, (_, position) => (position * 31 + 5) % 200);
  const expected = await generate(onWasm, prompt);
  await onWasm.evaluate((it) => it.dispose());
  for (const index of [2, 0, 1]) {
    await setFault(worker, { ...oom, purpose: 'runtime', index });
    const failed = await generate(model, prompt);
    expect(await struckBy(worker), `the runtime's buffer ${index}`).toBe('runtime');
    expect(failed).toMatchObject({ code: 'out_of_memory', ids: [] });
    // Left as it was, it would fail: the buffer that could not be had is in the runtime's pools.
    expect(await generate(model, prompt)).toEqual(expected);
  }
  await model.evaluate((it) => it.dispose());
  expect(await readAccount(worker)).toMatchObject(NOTHING_LEFT);
});

test('a WASM heap that may not grow: out_of_memory; a model that fits loads all the same', async ({ app, openHub }) => {
  const hub = await openHub({
    [ID]: { main: { directory: checkpointFolder('tiny-llama') ?? '' } },
    [LARGE]: makeLargeVocabulary(),
  });
  const loader = await openLoader(app, hub);
  await loader.evaluate((it, id) => it.load(id, { device: 'wasm', dtype: 'fp32' }).then(() => undefined), ID);
  const worker = await findModelWorker(app);
  await worker.evaluate(() => {
    WebAssembly.Memory.prototype.grow = () => {
      throw new RangeError('WebAssembly.Memory.grow(): refused by the test');
    };
  });
  const onWasm = { device: 'wasm', dtype: 'fp32' } as const;
  expect(await tryOn(loader, LARGE, onWasm)).toMatchObject({ code: 'out_of_memory' });
  expect(await tryOn(loader, ID, onWasm)).toBeNull();
});

/** Six greedy tokens, and how it ended. */
function generate(model: JSHandle<Model>, prompt: readonly number[]): Promise<{ ids: number[]; code: string | null }> {
  return model.evaluate(async (it, given) => {
    const ids: number[] = [];
    const options = { max_new_tokens: 6, min_new_tokens: 6, do_sample: false };
    try {
      for await (const { id } of it.generate(given, options)) ids.push(id);
      return { ids, code: null };
    } catch (error) {
      if (!window.firstlight.isLoadError(error)) throw error;
      return { ids, code: error.code };
    }
  }, prompt);
}

/** How many buffers the tiny model's weights take. */
function countWeights(loader: JSHandle<Loader>): Promise<number> {
  return loader.evaluate(async (it, id) => {
    const plan = await it.plan(id, { device: 'webgpu', dtype: 'fp32' });
    return plan.weightCount; // plain weights: a buffer each
  }, ID);
}

type Failure = Pick<LoadError, 'code' | 'stage' | 'retryable' | 'message' | 'detail'>;

async function loadWith(loader: JSHandle<Loader>, worker: Worker, fault: Fault | null): Promise<Failure | null> {
  await setFault(worker, fault);
  return tryOn(loader, ID, { device: 'webgpu', dtype: 'fp32' });
}
