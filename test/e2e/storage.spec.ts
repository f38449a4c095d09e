/**
 * Pages that the browser gives no storage, or too little: by default the model loads straight onto the device and says so; where the
 * cache is required, a typed error says what to do.
 */
import type { Page } from '@playwright/test';
import type { LoadEvent, LoadOptions, LoadPlan, LoadReport, ModelSource } from '../../src/index.ts';
import type { Hub } from '../hub/index.ts';
import { startStaticServer } from '../unit/sources/static-server.ts';
import { test } from './blocked-page.ts';
import { limitRoom, TINY } from './cache-support.ts';
import { bundledModelId, checkpointFolder, expect, openApp, readReference, tryLoad } from './support.ts';

const ID = 'test/storyteller';
const NAME = 'storyteller-2m';
const STORYTELLER = { [ID]: { main: { directory: checkpointFolder(NAME) ?? '' } } };
/** Largest difference of a float32 logit: see reference.spec.ts. */
const LOGIT_TOLERANCE = 1e-3;

interface Loaded {
  readonly plan: Pick<LoadPlan, 'storage' | 'costs'> | null;
  readonly report: LoadReport;
  readonly logits: readonly number[];
  readonly events: readonly LoadEvent[];
}

/** Plans, loads, computes, disposes. */
function load(
  page: Page,
  hub: Hub | null,
  ids: readonly number[],
  options: LoadOptions,
  source: Extract<ModelSource, string | { readonly baseUrl: string }> = ID,
): Promise<Loaded> {
  return page.evaluate(
    async ([endpoint, modelId, load, prompt]) => {
      const loader =
        endpoint === null
          ? window.firstlight.loader
          : window.firstlight.createLoader({ hub: { endpoint }, bundledBaseUrl: null });
      const events: LoadEvent[] = [];
      const { storage, costs } = await loader.plan(modelId, load);
      const model = await loader.load(modelId, { ...load, onProgress: (event) => events.push(event) });
      const logits = [...(await model.logits([...prompt]))];
      const { report } = model;
      await model.dispose();
      return { plan: { storage, costs }, report, logits, events };
    },
    [hub?.endpoint ?? null, source, options, ids] as const,
  );
}

/** After the first prompt, those of transformers. */
async function expectReference(loaded: Loaded, name = NAME): Promise<void> {
  const { reference, logits } = await readReference(name);
  const at = reference.prompts[0]?.logits;
  const theirs = at ? logits(at, at.length) : new Float32Array();
  expect(theirs.length).toBe(loaded.logits.length);
  expect(Math.max(...loaded.logits.map((value, index) => Math.abs(value - (theirs[index] ?? NaN))))).toBeLessThan(
    LOGIT_TOLERANCE,
  );
}

async function firstPrompt(name = NAME): Promise<readonly number[]> {
  return (await readReference(name)).reference.prompts[0]?.inputIds ?? [];
}

/** Whoever passes waits until it is opened. */
function closeGate(): {
  readonly pass: () => Promise<void>;
  readonly reached: Promise<void>;
  readonly open: () => void;
} {
  let open = (): void => undefined;
  let reach = (): void => undefined;
  const opened = new Promise<void>((resolve) => (open = resolve));
  const reached = new Promise<void>((resolve) => (reach = resolve));
  const pass = (): Promise<void> => {
    reach();
    return opened;
  };
  return { pass, reached, open };
}

const noticesOf = ({ events }: Loaded): readonly { readonly stage: string; readonly message: string }[] =>
  events.flatMap((event) => (event.type === 'notice' ? [{ stage: event.stage, message: event.message }] : []));

test.describe('no storage: site data is blocked', () => {
  test.beforeEach(async ({ blocked }) => {
    const name = await blocked.evaluate(() =>
      navigator.storage.getDirectory().then(String, (error: unknown) => (error as Error).name),
    );
    expect(name).toBe('SecurityError');
  });

  for (const device of ['wasm', 'webgpu'] as const) {
    // How bytes come that are kept nowhere is the same on both; journeys.spec.ts fills a GPU as they come.
    test(`${device}: loads straight onto the device and says so${device === 'webgpu' ? ' @long' : ''}`, async ({
      blocked: page,
      openHub,
    }) => {
      const hub = await openHub(STORYTELLER);
      const loaded = await load(page, hub, await firstPrompt(), { device, dtype: 'fp32' });
      expect(loaded.plan).toMatchObject({ storage: { kind: 'none' }, costs: { diskBytes: 0, cachedBytes: 0 } });
      expect(noticesOf(loaded)).toContainEqual({ stage: 'plan', message: loaded.report.storage.reason });
      expect(loaded.report.storage.reason).toMatch(/no storage.*downloads them again/u);
      expect(loaded.report.bytes).toMatchObject({ fromCache: 0, fromPrepared: 0 });
      await expectReference(loaded);
    });
  }

  test('two tabs at once, from a hub or a web address: each downloads for itself, none waits for the other', async ({
    blocked: page,
    openHub,
  }) => {
    const hub = await openHub({ [ID]: { main: { directory: TINY } } });
    const server = await startStaticServer(TINY, { cors: 'exposed' });
    const ids = await firstPrompt('tiny-llama');
    const other = await page.context().newPage();
    // The other tab's weights wait until this one has loaded. Headers come in pieces of 64 KiB.
    let gate = closeGate();
    await other.route('**/*.safetensors', async (route) => {
      const [, end] = route.request().headers()['range']?.split('-') ?? [];
      if (Number(end) >= 64 * 1024) await gate.pass();
      await route.continue();
    });
    await openApp(other);
    try {
      for (const source of [ID, { baseUrl: server.baseUrl }]) {
        gate = closeGate();
        const loadIn = (tab: Page): Promise<Loaded> => load(tab, hub, ids, { device: 'wasm', dtype: 'fp32' }, source);
        const held = loadIn(other);
        await Promise.race([gate.reached, held]);
        const free = await loadIn(page);
        gate.open();
        for (const loaded of [await held, free]) {
          expect(loaded.report).toMatchObject({ storage: { kind: 'none' }, bytes: { fromCache: 0 } });
          expect(loaded.report.bytes.fromNetwork).toBeGreaterThan(100_000);
          await expectReference(loaded, 'tiny-llama');
        }
      }
    } finally {
      gate.open();
      await server.close();
    }
  });

  test('the next load downloads it again, a model that the page brings as well', async ({ blocked: page, openHub }) => {
    const hub = await openHub(STORYTELLER);
    const ids = await firstPrompt();
    const received: number[] = [];
    for (let round = 0; round < 2; round++) {
      hub.requests.clear();
      const { report } = await load(page, hub, ids, { device: 'wasm', dtype: 'fp32' });
      received.push(report.bytes.fromNetwork);
      // The hub has sent what its plan alone, before it, has read as well.
      expect(hub.requests.contentBytes()).toBeGreaterThan(report.bytes.fromNetwork);
    }
    expect(received[1]).toBe(received[0]);
    const bundledId = await bundledModelId(page);
    const bundled = await load(page, null, ids, { device: 'wasm', dtype: 'fp32' }, bundledId);
    expect(bundled.report.storage.kind).toBe('none');
    await expectReference(bundled);
  });

  test('quantised weights that two tensors share are those that a cache yields', async ({ app, blocked, openHub }) => {
    const tied = 'test/tied';
    const hub = await openHub({ [tied]: { main: { directory: checkpointFolder('tiny-qwen2-tied') ?? '' } } });
    const [kept, straight] = await Promise.all(
      [app, blocked].map((page) => load(page, hub, [1, 2, 3], { device: 'wasm', dtype: 'q8' }, tied)),
    );
    expect(kept?.report.storage.kind).toBe('cache');
    expect(straight?.report.storage.kind).toBe('none');
    expect(straight?.logits).toEqual(kept?.logits);
  });

  test('the cache is required: storage_unavailable; so says whatever is asked of the cache itself', async ({
    blocked: page,
    openHub,
  }) => {
    const hub = await openHub(STORYTELLER);
    const message = expect.stringMatching(/ordinary window.*site data allowed/u) as unknown;
    const expected = { code: 'storage_unavailable', retryable: false, message };
    const options = { device: 'wasm', cache: 'required' } as const;
    expect(await tryLoad(page, ID, { endpoint: hub.endpoint, ...options })).toMatchObject(expected);
    expect(await tryLoad(page, await bundledModelId(page), options)).toMatchObject(expected);
    expect(hub.requests.contentBytes()).toBe(0);
    const caches = await page.evaluate(async () => {
      const { cache } = window.firstlight.loader;
      const codes: string[] = [];
      for (const call of [() => cache.list(), () => cache.usage(), () => cache.clear()]) {
        const code = await call().then(
          () => 'done',
          (error: unknown) => (window.firstlight.isLoadError(error) ? error.code : String(error)),
        );
        codes.push(code);
      }
      return codes;
    });
    expect(caches).toEqual(['storage_unavailable', 'storage_unavailable', 'storage_unavailable']);
  });

  test('offline: not_cached, and why', async ({ blocked: page, openHub }) => {
    const hub = await openHub(STORYTELLER);
    expect(await tryLoad(page, ID, { endpoint: hub.endpoint, device: 'wasm', offline: true })).toMatchObject({
      code: 'not_cached',
      message: expect.stringMatching(/no storage/u),
    });
  });

  test('cancelled: nothing goes on', async ({ blocked: page, openHub }) => {
    const hub = await openHub(STORYTELLER);
    hub.setThrottle({ bytesPerSecond: 400_000 });
    const code = await page.evaluate(
      async ([endpoint, id]) => {
        const stop = new AbortController();
        const loader = window.firstlight.createLoader({ hub: { endpoint }, bundledBaseUrl: null });
        return loader
          .load(id, {
            device: 'wasm',
            signal: stop.signal,
            onProgress: (event) => {
              if (event.type === 'progress' && event.stage === 'fetch' && event.doneBytes > 500_000) stop.abort();
            },
          })
          .then(
            () => 'loaded',
            (error: unknown) => (window.firstlight.isLoadError(error) ? error.code : String(error)),
          );
      },
      [hub.endpoint, ID] as const,
    );
    expect(code).toBe('aborted');
    await expect.poll(() => hub.requests.entries.every(({ endedAtMs }) => endedAtMs !== null)).toBe(true);
    expect(hub.requests.contentBytes()).toBeLessThan(3_000_000);
  });
});

test.describe('a quota smaller than the model', () => {
  test('loads without a cache, as the plan says; where the cache is required, quota_exceeded', async ({
    app,
    openHub,
  }) => {
    const hub = await openHub(STORYTELLER);
    const limit = await limitRoom(app, 1_500_000);
    const options = { device: 'wasm', dtype: 'fp32' } as const;
    const loaded = await load(app, hub, await firstPrompt(), options);
    expect(loaded.plan).toMatchObject({ storage: { kind: 'none' }, costs: { diskBytes: 0 } });
    expect(loaded.report.storage.reason).toMatch(/not enough storage.*MB are needed.*MB are free/u);
    expect(noticesOf(loaded)).toContainEqual({ stage: 'plan', message: loaded.report.storage.reason });
    await expectReference(loaded);
    const weightFiles = (await app.evaluate(() => window.firstlight.loader.cache.list())).flatMap(({ files }) =>
      files.filter(({ path, complete }) => complete && path.endsWith('.safetensors')),
    );
    expect(weightFiles).toEqual([]);
    const refused = await tryLoad(app, ID, { endpoint: hub.endpoint, ...options, cache: 'required' });
    expect(refused).toMatchObject({ code: 'quota_exceeded', stage: 'fetch' });
    await limit.detach();
  });

  test('that shows only while the files come: goes on without a cache, and what was whole is not fetched again', async ({
    app,
    openHub,
  }) => {
    const hub = await openHub(STORYTELLER);
    // The last shard does not come before the quota is what it is.
    const last = hub.misbehave({
      path: 'model-00003',
      kinds: ['content'],
      fault: { type: 'stall', afterBytes: 100_000 },
      times: Infinity,
    });
    const ids = await firstPrompt();
    const loading = load(app, hub, ids, { device: 'wasm', dtype: 'fp32' });
    const complete = async (): Promise<number> => {
      const entries = await app.evaluate(() => window.firstlight.loader.cache.list());
      return entries.flatMap(({ files }) => files.filter((file) => file.complete && file.path.endsWith('.safetensors')))
        .length;
    };
    await expect.poll(complete, { timeout: 60_000 }).toBeGreaterThanOrEqual(2);
    const limit = await limitRoom(app, 200_000);
    hub.requests.clear();
    last.cancel();
    // What hangs is cut, or it would hang until it counts as silent.
    await hub.goDown();
    await hub.comeBack();
    const loaded = await loading;
    expect(loaded.report.storage.kind).toBe('none');
    expect(noticesOf(loaded)).toContainEqual({ stage: 'fetch', message: loaded.report.storage.reason });
    await expectReference(loaded);
    expect(hub.requests.contentBytes({ file: 'model-00001-of-00004.safetensors' })).toBe(0);
    await limit.detach();
  });
});

test('cache: "none" leaves nothing behind', async ({ app, openHub }) => {
  const hub = await openHub(STORYTELLER);
  const loaded = await load(app, hub, await firstPrompt(), { device: 'wasm', dtype: 'fp32', cache: 'none' });
  expect(loaded.report.storage.kind).toBe('none');
  await expectReference(loaded);
  const left = await app.evaluate(async () => {
    const root = await navigator.storage.getDirectory();
    const names: string[] = [];
    for await (const name of root.keys()) names.push(name);
    return { names, databases: (await indexedDB.databases()).map(({ name }) => name) };
  });
  expect(left).toEqual({ names: [], databases: [] });
});
