/**
 * Decoding on the GPU against transformers.js's own generation over the same device, and against recorded references: the
 * same tokens, greedy and seeded; ends, cancels and losses leave the KV cache as it is said to be.
 */
import { readFileSync } from 'node:fs';
import { readdir, readFile } from 'node:fs/promises';
import type { JSHandle, Page } from '@playwright/test';
import type { GenerateCallOptions, GenerateReport, Model } from '../../src/index.ts';
import type { ContentSpec, Hub } from '../hub/index.ts';
import { bundledModelId, checkpointFolder, expect, readReference, test } from './support.ts';

/** The other checkpoints: `reference.spec.ts` has both paths too, one on each device. */
const MODELS = ['tiny-mistral', 'tiny-qwen2'];
const ID = 'test/model';
const PROMPT = [1, 17, 201, 45, 99, 3, 150];

type OpenHub = (
  repositories: Readonly<Record<string, { main: { files: Record<string, ContentSpec> } }>>,
) => Promise<Hub>;

for (const name of MODELS) {
  test(`${name}: the same greedy ids on both paths, and in transformers @long`, async ({ app, openHub }) => {
    const { reference } = await readReference(name);
    const { inputIds, ids } = reference.greedy;
    const options = { max_new_tokens: ids.length };
    const model = await load(app, openHub, name);
    expect(await model.evaluate(({ report }) => report.notices)).toEqual([]);
    const onGpu = await generate(model, inputIds, options);
    expect(onGpu).toMatchObject({ ids: [...ids], report: { path: 'gpu', newTokens: ids.length } });
    const inJs = await generate(await load(app, openHub, name, { generation: VIA_TRANSFORMERS }), inputIds, options);
    expect(inJs).toMatchObject({ ids: [...ids], report: { path: 'transformers', newTokens: ids.length } });
  });
}

test('quantised weights: the same greedy ids on both paths @long', async ({ app, openHub }) => {
  const options = { max_new_tokens: 100 };
  const onGpu = await generate(await load(app, openHub, 'tiny-qwen2-tied', { dtype: 'q4' }), PROMPT, options);
  const changes = { dtype: 'q4', generation: VIA_TRANSFORMERS } as const;
  const inJs = await generate(await load(app, openHub, 'tiny-qwen2-tied', changes), PROMPT, options);
  expect([onGpu.report.path, inJs.report.path]).toEqual(['gpu', 'transformers']);
  expect(onGpu.ids).toEqual(inJs.ids);
});

test('the same request gives the same tokens on both paths: seeds, penalty, ends, reuse @long', async ({
  app,
  openHub,
}) => {
  const greedy = await generate(await load(app, openHub, 'tiny-llama'), PROMPT, { max_new_tokens: 60 });
  // An end token that comes after some others.
  const end = greedy.ids.findIndex((id, index) => index > 20 && greedy.ids.indexOf(id) === index);
  const generation = { eos_token_id: [greedy.ids[end], 2] };
  const onGpu = await load(app, openHub, 'tiny-llama', { generation });
  const inJs = await load(app, openHub, 'tiny-llama', { generation: { ...generation, ...VIA_TRANSFORMERS } });
  const requests: { prompt: number[]; options: GenerateCallOptions }[] = [
    { prompt: PROMPT, options: { max_new_tokens: 60 } },
    { prompt: PROMPT, options: { max_new_tokens: 60, min_new_tokens: 60 } },
    { prompt: PROMPT, options: { max_new_tokens: 1 } },
    { prompt: [...PROMPT, ...greedy.ids.slice(0, 9), 7], options: { max_new_tokens: 12 } },
    { prompt: PROMPT, options: { max_new_tokens: 40, repetition_penalty: 1.3 } },
    { prompt: PROMPT, options: { max_new_tokens: 40, do_sample: true, seed: 7 } },
    { prompt: PROMPT, options: { max_new_tokens: 40, do_sample: true, seed: 8, top_k: 0, temperature: 1.5 } },
    {
      prompt: PROMPT,
      options: { max_new_tokens: 40, do_sample: true, seed: 9, top_k: 20, top_p: 0.7, temperature: 0.6 },
    },
    { prompt: PROMPT, options: { max_new_tokens: 40, do_sample: true, seed: 9, top_p: 0.9, repetition_penalty: 1.2 } },
  ];
  const results: Generated[] = [];
  for (const { prompt, options } of requests) {
    const ours = await generate(onGpu, prompt, options);
    const theirs = await generate(inJs, prompt, options);
    expect([ours.report.path, theirs.report.path]).toEqual(['gpu', 'transformers']);
    expect(ours.ids, JSON.stringify(options)).toEqual(theirs.ids);
    const { finishReason, reusedTokens } = theirs.report;
    expect(ours.report.finishReason).toBe(finishReason);
    // Our path may know more tokens in its cache: an end token runs before it is read.
    expect(ours.report.reusedTokens).toBeGreaterThanOrEqual(reusedTokens);
    results.push(ours);
  }
  expect(results[0]?.report).toMatchObject({ finishReason: 'eos', newTokens: end + 1 });
  expect(results[1]?.report).toMatchObject({ finishReason: 'length', newTokens: 60 });
  expect(results[3]?.report.reusedTokens).toBeGreaterThanOrEqual(PROMPT.length);
  // Seeds repeat themselves, and differ from each other.
  const [again, other] = [7, 70].map((seed) => ({ max_new_tokens: 40, do_sample: true, seed }));
  expect((await generate(onGpu, PROMPT, again ?? {})).ids).toEqual(results[5]?.ids);
  expect((await generate(onGpu, PROMPT, other ?? {})).ids).not.toEqual(results[5]?.ids);
});

test('text that stops, on the trained model @long', async ({ app }) => {
  const id = await bundledModelId(app);
  const { free, stopped, all } = await app.evaluate(async (modelId) => {
    const model = await window.firstlight.loader.load(modelId, { device: 'webgpu', dtype: 'fp32' });
    const run = async (stop: string[]) => {
      let text = '';
      let report: GenerateReport | undefined;
      const options = { max_new_tokens: 60, do_sample: false, stop, onReport: (end: GenerateReport) => (report = end) };
      for await (const token of model.generate('Once upon a time', options)) text += token.text;
      return { text, report };
    };
    const free = await run([]);
    const stop = free.text.slice(30, 34);
    const result = { free, stopped: await run([stop]), all: free.text.slice(0, free.text.indexOf(stop)) };
    await model.dispose();
    return result;
  }, id);
  expect(free.report).toMatchObject({ path: 'gpu' });
  expect(stopped.report).toMatchObject({ path: 'gpu', finishReason: 'stop' });
  expect(stopped.text).toBe(all);
});

test('the step is replayed; a cancel ends it within a few tokens and leaves the cache as it is said to be', async ({
  app,
  openHub,
}) => {
  const model = await load(app, openHub, 'tiny-llama');
  await test.step('a token makes no bind groups: the captured step is replayed, not run', () =>
    expectReplay(app, model));
  const options = { max_new_tokens: 26 };
  const before = await generate(model, PROMPT, options);
  const cancelled = await model.evaluate(async (handle, prompt) => {
    const controller = new AbortController();
    const ids: number[] = [];
    let code = '';
    try {
      const stream = handle.generate(prompt, { max_new_tokens: 400, do_sample: false, signal: controller.signal });
      for await (const { id } of stream) if (ids.push(id) === 11) controller.abort();
    } catch (error) {
      code = window.firstlight.isLoadError(error) ? error.code : String(error);
    }
    return { ids, code };
  }, PROMPT);
  expect(cancelled.code).toBe('aborted');
  expect(cancelled.ids.length).toBeLessThan(11 + 6);
  expect(cancelled.ids).toEqual(before.ids.slice(0, cancelled.ids.length));
  const known = [...PROMPT, ...cancelled.ids];
  const after = await generate(model, known, { max_new_tokens: 8 });
  expect(after.report.reusedTokens).toBeGreaterThanOrEqual(PROMPT.length + 10);
  expect(after.ids).toEqual(before.ids.slice(cancelled.ids.length, cancelled.ids.length + 8));
  expect((await generate(model, PROMPT, options)).ids).toEqual(before.ids);
});

test('WebAssembly leaves generation to transformers.js', async ({ app, openHub }) => {
  const model = await load(app, openHub, 'tiny-qwen2', { device: 'wasm' });
  const { report } = await generate(model, PROMPT, { max_new_tokens: 3 });
  expect(report).toMatchObject({ path: 'transformers', newTokens: 3 });
});

/** What transformers chose under rules of a generation config: test/reference/references/record_generation_rules.py. */
const { tiny: RULED } = JSON.parse(
  readFileSync(new URL('../fixtures/generation-rules.json', import.meta.url), 'utf8'),
) as {
  readonly tiny: {
    readonly model: string;
    readonly prompt: number[];
    readonly runs: readonly { readonly rule: GenerateCallOptions; readonly ids: number[] }[];
  };
};

test("generation_config.json's rules give the ids of transformers; values that nobody can mean are notices", async ({
  app,
  openHub,
}) => {
  const ruled = RULED.runs[1];
  const generation = { ...ruled?.rule, max_new_tokens: 40, temperature: 'hot', top_k: -1, num_beams: 4 };
  const model = await load(app, openHub, RULED.model, { device: 'wasm', generation });
  const made = await generate(model, RULED.prompt, {});
  expect(made.ids).toEqual(ruled?.ids);
  expect(made.report).toMatchObject({ path: 'transformers', finishReason: 'length', contextNote: null });
  const notices = await model.evaluate(({ report }) => report.notices);
  for (const key of ['temperature', 'top_k', 'num_beams']) {
    expect(
      notices.filter((notice) => notice.startsWith('generation_config.json') && notice.includes(key)),
    ).toHaveLength(1);
  }
});

test('the same rules as options of a call, on a GPU: on the path that has them, which the report explains @long', async ({
  app,
  openHub,
}) => {
  const model = await load(app, openHub, RULED.model);
  const reports = [];
  for (const { rule, ids } of RULED.runs) {
    const made = await generate(model, RULED.prompt, { ...rule, max_new_tokens: 40 });
    expect(made.ids, JSON.stringify(rule)).toEqual(ids);
    reports.push(`${made.report.path}: ${made.report.pathReason}`);
  }
  expect(reports).toEqual([
    'gpu: everything that is asked for is covered',
    'transformers: no_repeat_ngram_size is set',
    'gpu: everything that is asked for is covered',
  ]);
});

async function expectReplay(app: Page, model: JSHandle<Model>): Promise<void> {
  const worker = app.workers().find((one) => one.url().includes('model.worker'));
  if (!worker) throw new Error('the model lives in a worker');
  await worker.evaluate(() => {
    const counted = globalThis as unknown as { bindGroups: number };
    counted.bindGroups = 0;
    const original = Reflect.get(GPUDevice.prototype, 'createBindGroup') as (
      this: GPUDevice,
      ...args: unknown[]
    ) => unknown;
    Object.assign(GPUDevice.prototype, {
      createBindGroup(this: GPUDevice, ...args: unknown[]) {
        counted.bindGroups++;
        return original.apply(this, args);
      },
    });
  });
  const count = (): Promise<number> =>
    worker.evaluate(() => (globalThis as unknown as { bindGroups: number }).bindGroups);
  await generate(model, PROMPT, { max_new_tokens: 1 });
  const forPrompt = await count();
  await generate(model, PROMPT, { max_new_tokens: 12 });
  // The prompt's last token runs again; 11 more steps would take about 28 each.
  expect((await count()) - forPrompt).toBeLessThanOrEqual(forPrompt + 10);
}

/** A setting of generation_config.json that the token loop leaves to transformers.js, and that changes no token here. */
const VIA_TRANSFORMERS = { bad_words_ids: [Array<number>(9).fill(0)] };

interface Generated {
  readonly ids: number[];
  readonly report: GenerateReport;
}

/** Loads a tiny model on WebGPU, with some values of its JSON files changed. */
async function load(
  page: Page,
  openHub: OpenHub,
  name: string,
  changes: { config?: object; generation?: object; dtype?: 'fp32' | 'q8' | 'q4'; device?: 'webgpu' | 'wasm' } = {},
): Promise<JSHandle<Model>> {
  const folder = checkpointFolder(name) ?? '';
  const files: Record<string, ContentSpec> = Object.fromEntries(
    (await readdir(folder)).map((file) => [file, { path: `${folder}/${file}` }]),
  );
  const changed = async (file: string, values: object): Promise<string> =>
    JSON.stringify({ ...(JSON.parse(await readFile(`${folder}/${file}`, 'utf8')) as object), ...values });
  const hub = await openHub({
    [ID]: {
      main: {
        files: {
          ...files,
          'config.json': await changed('config.json', changes.config ?? {}),
          'generation_config.json': await changed('generation_config.json', changes.generation ?? {}),
        },
      },
    },
  });
  return page.evaluateHandle(
    ([endpoint, id, device, dtype]) =>
      window.firstlight.createLoader({ hub: { endpoint }, bundledBaseUrl: null }).load(id, { device, dtype }),
    [hub.endpoint, ID, changes.device ?? 'webgpu', changes.dtype ?? 'fp32'] as const,
  );
}

async function generate(
  model: JSHandle<Model>,
  prompt: readonly number[],
  options: GenerateCallOptions,
): Promise<Generated> {
  return model.evaluate(
    async (handle, [ids, given]) => {
      const made: number[] = [];
      let report: GenerateReport | undefined;
      const all = { do_sample: false, ...given, onReport: (end: GenerateReport) => (report = end) };
      for await (const { id } of handle.generate(ids, all)) made.push(id);
      return { ids: made, report: report as GenerateReport };
    },
    [prompt, options] as const,
  );
}
