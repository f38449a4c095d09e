/**
 * A KV cache that grows: the same tokens as from one that was large from the beginning, parked conversations that survive it,
 * and a device that has no room, which leaves everything as it was.
 */
import { readdir, readFile } from 'node:fs/promises';
import type { JSHandle, Page, Worker } from '@playwright/test';
import type { GenerateCallOptions, GenerateReport, Loader, LoadError, LoadOptions, Model } from '../../src/index.ts';
import type { ContentSpec } from '../hub/index.ts';
import { meddle, readAccount, setFault, struckBy } from './gpu-faults.ts';
import { ID, openLoader, openTinyInWorker } from './model-worker.ts';
import { checkpointFolder, expect, readReference, test } from './support.ts';

/** Of tiny-qwen2 in float32: 2 layers, keys and values of 2 heads of 16; tables of 8 cosines and 8 sines. */
const KV_BYTES_PER_TOKEN = 2 * 2 * 2 * 16 * 4;
const TABLE_BYTES_PER_TOKEN = 2 * 8 * 4;

const ON_GPU = { device: 'webgpu', dtype: 'fp32' } as const;
const NO_ROOM = { kind: 'out-of-memory', at: 'createBuffer', purpose: 'growth', index: 0, stays: true } as const;

/** The replay of the decode step that proves what was recorded: it runs at the cache's first place, and spoils that. */
const OTHER_PLACE = { kind: 'zeroed', at: 'writeBuffer', purpose: 'position', index: 1 } as const;

const prompt = (seed: number, length = 18): number[] =>
  Array.from({ length }, (_, index) => (index * 31 + seed * 17) % 200);

test('greedy ids across growths are those of transformers; conversations, refusals and cancels on the way', async ({
  app,
  openHub,
}) => {
  const { loader, worker, inputIds, ids } = await openMeddled(app, openHub);
  const options = { max_new_tokens: ids.length };
  const model = await load(loader, { ...ON_GPU, contextTokens: { reserve: 32, max: 512 } });
  expect(await model.evaluate(({ info }) => info)).toMatchObject({ contextTokens: 32, maxContextTokens: 512 });
  await generate(model, prompt(1, 8), { max_new_tokens: 8, min_new_tokens: 8 }); // fills the pools of the token loop
  const before = await memoryOf(model);
  expect(before).toMatchObject({ contextTokens: 32, conversations: 2 });

  await test.step('no room: the generation ends where the cache is full, and says why; a prompt is refused', async () => {
    await setFault(worker, NO_ROOM);
    const ended = await generate(model, inputIds, options);
    expect(await struckBy(worker)).toBe('room to grow');
    expect(ended.ids).toEqual(ids.slice(0, 32 - inputIds.length));
    expect(ended.report).toMatchObject({ path: 'gpu', finishReason: 'context', newTokens: ended.ids.length });
    expect(ended.report.contextNote).toMatch(/holds 32 tokens.*no room now to let it grow \(to at most 512\)/u);
    expect(await failureOf(model, prompt(9, 40))).toMatchObject({
      code: 'context_exceeded',
      detail: { promptTokens: 40, contextTokens: 32, maxContextTokens: 512 },
    });
    const { gpu, ...after } = await memoryOf(model);
    expect(after).toMatchObject({ contextTokens: 32, conversations: 2 });
    // The runtime's own pools are filled by prompts of any new length.
    const runtime = gpu?.liveBytesByPurpose.runtime;
    expect(gpu?.liveBytesByPurpose).toEqual({ ...before.gpu?.liveBytesByPurpose, runtime });
  });

  await test.step('the device refuses what it granted: what was moved is kept, and all works', async () => {
    await setFault(worker, { ...NO_ROOM, purpose: 'kvCache', index: 2, stays: false });
    const ended = await generate(model, inputIds, options);
    expect(await struckBy(worker)).toBe('past_key_values.1.key');
    expect(ended.report).toMatchObject({ path: 'gpu', finishReason: 'context' });
    const again = await generate(model, prompt(2), { max_new_tokens: 5 });
    expect(again.report).toMatchObject({ path: 'gpu', newTokens: 5 });
    await setFault(worker, null);
  });

  const parked = await generate(model, prompt(1), { max_new_tokens: 8, min_new_tokens: 8 });
  await test.step('growths in mid-generation: the tokens of transformers', async () => {
    const made = await generate(model, inputIds, options);
    expect(made.ids).toEqual([...ids]);
    expect(made.report).toMatchObject({ path: 'gpu', finishReason: 'length', contextNote: null });
    const { gpu, ...grown } = await memoryOf(model);
    expect(grown).toMatchObject({ contextTokens: 256, conversations: 2 });
    const weightBytes = await model.evaluate(({ report }) => report.memory.weightBytes);
    expect(gpu?.liveBytesByPurpose).toMatchObject({
      kvCache: 2 * 256 * KV_BYTES_PER_TOKEN,
      weights: weightBytes + (256 - 32) * TABLE_BYTES_PER_TOKEN,
    });
  });

  await test.step('a conversation that was parked before comes back from a longer slot', async () => {
    const next = [...prompt(1), ...parked.ids, 7, 8, 9];
    const back = await generate(model, next, { max_new_tokens: 8, min_new_tokens: 8 });
    expect(back.report.reusedTokens).toBeGreaterThanOrEqual(next.length - 4);
    for (const seed of [3, 4]) await generate(model, prompt(seed), { max_new_tokens: 1 });
    const alone = await generate(model, next, { max_new_tokens: 8, min_new_tokens: 8 });
    expect(alone.report.reusedTokens).toBe(0);
    expect(back.ids).toEqual(alone.ids);
  });

  await test.step('a cancel while it grows', async () => {
    expect(await cancelInGrowth(app, worker, model, prompt(5, 300))).toBe('aborted');
    expect((await generate(model, inputIds, { max_new_tokens: 20 })).ids).toEqual(ids.slice(0, 20));
    const long = await generate(model, prompt(5, 300), { max_new_tokens: 3 });
    expect(long.report).toMatchObject({ path: 'gpu', newTokens: 3 });
    expect(await memoryOf(model)).toMatchObject({ contextTokens: 512 });
  });

  expect(await failureOf(model, prompt(5, 512))).toMatchObject({
    code: 'context_exceeded',
    detail: { promptTokens: 512, contextTokens: 512, maxContextTokens: 512 },
  });
  await model.evaluate((it) => it.dispose());
  expect(await readAccount(worker)).toMatchObject({ liveBuffers: 0, liveBytes: 0, liveDevices: 0 });
});

test('a decode step that fails its proof after a growth: the generation goes on without it, and says so @long', async ({
  app,
  openHub,
}) => {
  const { loader, worker, inputIds, ids } = await openMeddled(app, openHub);
  const model = await load(loader, { ...ON_GPU, contextTokens: { reserve: 32 } });
  const before = await memoryOf(model);
  await setFault(worker, OTHER_PLACE);
  const made = await generate(model, inputIds, { max_new_tokens: 60 });
  expect(await struckBy(worker)).toBe('seqlens_k');
  expect(made.ids).toEqual(ids.slice(0, 60));
  expect(made.report).toMatchObject({ path: 'transformers', finishReason: 'length', newTokens: 60 });
  const failure = /the KV cache had grown, failed its proof: .* a logit was off by/u;
  expect(made.report.pathReason).toMatch(new RegExp(`^after ${32 - inputIds.length} tokens.*${failure.source}`, 'u'));

  await test.step('what the step wrote into the cache is gone; another growth; nothing is left of the step', async () => {
    const again = await generate(model, inputIds, { max_new_tokens: 128 });
    expect(again.ids).toEqual(ids.slice(0, 128));
    expect(again.report).toMatchObject({ path: 'transformers', reusedTokens: inputIds.length - 1 });
    expect(again.report.pathReason).toMatch(failure);
    const { gpu, ...after } = await memoryOf(model);
    expect(after).toMatchObject({ contextTokens: 256, conversations: before.conversations });
    // The buffer that parking goes through, as long as the keys or values of one layer.
    expect(gpu?.liveBytesByPurpose.staging).toBe((256 * KV_BYTES_PER_TOKEN) / 4);
  });
  await model.evaluate((it) => it.dispose());
  expect(await readAccount(worker)).toMatchObject({ liveBuffers: 0, liveBytes: 0, liveDevices: 0 });
});

test('the same for a prompt, and for sampled, penalised and forbidden tokens @long', async ({ app, openHub }) => {
  const { loader, worker } = await openMeddled(app, openHub);
  const large = await load(loader, { ...ON_GPU, contextTokens: 512 });
  const sampled = {
    do_sample: true,
    seed: 9,
    top_k: 20,
    repetition_penalty: 1.3,
    min_new_tokens: 60,
    max_new_tokens: 70,
  };
  for (const { ids, options, reason } of [
    { ids: prompt(1), options: sampled, reason: /^after 14 tokens/u },
    { ids: prompt(5, 40), options: { max_new_tokens: 12, min_new_tokens: 12 }, reason: /^the decode step/u },
  ]) {
    const model = await load(loader, { ...ON_GPU, contextTokens: { reserve: 32 } });
    await generate(model, ids.slice(0, 17), { max_new_tokens: 1 }); // else a prompt's step belongs at the first place
    await setFault(worker, OTHER_PLACE);
    const [ours, theirs] = [await generate(model, ids, options), await generate(large, ids, options)];
    expect(await struckBy(worker)).toBe('seqlens_k');
    expect(ours.ids).toEqual(theirs.ids);
    expect(ours.report).toMatchObject({ path: 'transformers', finishReason: theirs.report.finishReason });
    expect(ours.report.pathReason).toMatch(reason);
    expect(theirs.report.path).toBe('gpu');
    await model.evaluate((it) => it.dispose());
  }
});

test('sampled and penalised tokens, and those of transformers.js, are the same with and without growth @long', async ({
  app,
  openHub,
}) => {
  const { loader } = await openTinyInWorker(app, openHub, 'tiny-qwen2');
  const grown = await load(loader, { ...ON_GPU, contextTokens: { reserve: 24 } });
  const large = await load(loader, { ...ON_GPU, contextTokens: 512 });
  for (const options of [
    { max_new_tokens: 60, repetition_penalty: 1.3 },
    { max_new_tokens: 90, do_sample: true, seed: 7, repetition_penalty: 1.2 },
    { max_new_tokens: 150, do_sample: true, seed: 9, top_k: 20, top_p: 0.7, min_new_tokens: 150 },
  ]) {
    const [ours, theirs] = [await generate(grown, prompt(1), options), await generate(large, prompt(1), options)];
    expect(ours.ids, JSON.stringify(options)).toEqual(theirs.ids);
    expect(ours.report.finishReason).toBe(theirs.report.finishReason);
  }
  expect(await memoryOf(grown)).toMatchObject({ contextTokens: 192 });

  const hub = await openHub({ [ID]: { main: { files: await variant('tiny-qwen2', {}) } } });
  const slow = await load(await openLoader(app, hub), { ...ON_GPU, contextTokens: { reserve: 24 } });
  const { reference } = await readReference('tiny-qwen2');
  const { inputIds, ids } = reference.greedy;
  // The token loop has no such rule, and the sequence never comes.
  const made = await generate(slow, inputIds, { max_new_tokens: 60, bad_words_ids: [Array<number>(9).fill(0)] });
  expect(made).toMatchObject({ ids: ids.slice(0, 60), report: { path: 'transformers', finishReason: 'length' } });
  expect(await memoryOf(slow)).toMatchObject({ contextTokens: 96 });
});

test('a parked conversation gives way; a device that is lost while the cache grows is rebuilt as it was asked for @long', async ({
  app,
  openHub,
}) => {
  const { loader, worker, inputIds, ids } = await openMeddled(app, openHub);
  const model = await load(loader, { ...ON_GPU, contextTokens: { reserve: 32 } });
  const parked = await generate(model, prompt(1), { max_new_tokens: 4, min_new_tokens: 4 });
  await setFault(worker, { ...NO_ROOM, stays: false }); // until something was given back
  const grown = await generate(model, inputIds, { max_new_tokens: 40 });
  expect(grown).toMatchObject({ ids: ids.slice(0, 40), report: { path: 'gpu' } });
  const { gpu, ...rest } = await memoryOf(model);
  expect(rest).toEqual({ contextTokens: 64, conversations: 1 });
  expect(gpu?.liveBytesByPurpose.kvCache).toBe(64 * KV_BYTES_PER_TOKEN);
  const again = await generate(model, prompt(1), { max_new_tokens: 4, min_new_tokens: 4 });
  expect(again).toMatchObject({ ids: parked.ids, report: { reusedTokens: 0 } });

  for (const purpose of ['growth', 'kvCache'] as const) {
    await setFault(worker, { kind: 'lost', at: 'createBuffer', purpose, index: 1 });
    expect(await failureOf(model, prompt(1, 80)), purpose).toMatchObject({ code: 'device_lost', retryable: true });
    const made = await generate(model, inputIds, { max_new_tokens: 40 });
    expect(made).toMatchObject({ ids: ids.slice(0, 40), report: { path: 'gpu' } });
    expect(await model.evaluate(({ info }) => info)).toMatchObject({ contextTokens: 32, maxContextTokens: 512 });
  }
  await model.evaluate((it) => it.dispose());
  expect(await readAccount(worker)).toMatchObject({ liveBuffers: 0, liveBytes: 0, liveDevices: 0 });
});

test('WebAssembly: as far as the checkpoint was made for, unless less is asked for', async ({ app, openHub }) => {
  const files = await variant('tiny-qwen2', { max_position_embeddings: 4096 });
  const loader = await openLoader(app, await openHub({ [ID]: { main: { files } } }));
  const onWasm = { device: 'wasm', dtype: 'fp32' } as const;
  const model = await load(loader, onWasm);
  expect(await model.evaluate(({ info }) => info)).toMatchObject({ contextTokens: 2048, maxContextTokens: 4096 });
  const large = await load(loader, { ...onWasm, contextTokens: 4096 });
  const options = { max_new_tokens: 5, min_new_tokens: 5 };
  const [ours, theirs] = [
    await generate(model, prompt(1, 2100), options),
    await generate(large, prompt(1, 2100), options),
  ];
  expect(ours.ids).toEqual(theirs.ids);

  const small = await load(loader, { ...onWasm, contextTokens: 32 });
  const { ids, report } = await generate(small, prompt(1), { max_new_tokens: 100, min_new_tokens: 100 });
  expect([ids.length, report.finishReason]).toEqual([32 - 18, 'context']);
  expect(report.contextNote).toMatch(/at most 32 tokens.*larger contextTokens \(up to 4096\)/u);
});

/** Of tiny-qwen2: a loader whose worker can be told to fail, and what transformers generates from a prompt. */
async function openMeddled(page: Page, openHub: Parameters<typeof openTinyInWorker>[1]) {
  const { loader, worker } = await openTinyInWorker(page, openHub, 'tiny-qwen2');
  await meddle(worker);
  const { reference } = await readReference('tiny-qwen2');
  return { loader, worker, ...reference.greedy };
}

function load(loader: JSHandle<Loader>, options: LoadOptions): Promise<JSHandle<Model>> {
  return loader.evaluateHandle((it, [id, given]) => it.load(id, given), [ID, options] as const);
}

/** The checkpoint with some values of its config.json changed. */
async function variant(name: string, changes: object): Promise<Record<string, ContentSpec>> {
  const folder = checkpointFolder(name) ?? '';
  const config = JSON.parse(await readFile(`${folder}/config.json`, 'utf8')) as object;
  return {
    ...Object.fromEntries((await readdir(folder)).map((file) => [file, { path: `${folder}/${file}` }])),
    'config.json': JSON.stringify({ ...config, ...changes }),
  };
}

async function memoryOf(model: JSHandle<Model>) {
  return model.evaluate((it) => it.memory().then(({ wasmHeapBytes: _, ...rest }) => rest));
}

interface Generated {
  readonly ids: number[];
  readonly report: GenerateReport;
}

function generate(model: JSHandle<Model>, ids: readonly number[], options: GenerateCallOptions): Promise<Generated> {
  return model.evaluate(
    async (it, [given, wanted]) => {
      const made: number[] = [];
      let report: GenerateReport | undefined;
      const all = { do_sample: false, ...wanted, onReport: (end: GenerateReport) => (report = end) };
      for await (const { id } of it.generate(given, all)) made.push(id);
      return { ids: made, report: report as GenerateReport };
    },
    [ids, options] as const,
  );
}

function failureOf(
  model: JSHandle<Model>,
  ids: readonly number[],
): Promise<Pick<LoadError, 'code' | 'retryable' | 'detail'> | null> {
  return model.evaluate(async (it, given) => {
    try {
      for await (const _ of it.generate(given, { max_new_tokens: 2 }));
      return null;
    } catch (error) {
      if (!window.firstlight.isLoadError(error)) throw error;
      const { code, retryable, detail } = error;
      return { code, retryable, detail };
    }
  }, ids);
}

/** Cancels a request as soon as the worker asks for the first longer buffer; yields how it ended. */
async function cancelInGrowth(
  page: Page,
  worker: Worker,
  model: JSHandle<Model>,
  ids: readonly number[],
): Promise<string> {
  await setFault(worker, { kind: 'told', at: 'createBuffer', purpose: 'kvCache', index: 0 });
  return page.evaluate(
    async ([it, given]) => {
      const controller = new AbortController();
      new BroadcastChannel('gpu fault').onmessage = () => controller.abort();
      try {
        for await (const _ of it.generate(given, { max_new_tokens: 200, signal: controller.signal }));
        return 'finished';
      } catch (error) {
        return window.firstlight.isLoadError(error) ? error.code : String(error);
      }
    },
    [model, ids] as const,
  );
}
