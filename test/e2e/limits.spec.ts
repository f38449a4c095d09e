/**
 * Models whose tensors are larger than the GPU binds, with limits forced down: they are split, run, and compute what the
 * unsplit model computes on WebAssembly, and what transformers computed.
 */
import { readFile } from 'node:fs/promises';
import type { JSHandle, Page } from '@playwright/test';
import type { Dtype, Model, PlanSummary } from '../../src/index.ts';
import { makeLargeVocabulary } from './large-vocabulary.ts';
import { checkpointFolder, expect, openApp, readReference, test, tryLoad } from './support.ts';

const ID = 'test/model';
const MIB = 2 ** 20;
const LOGIT_TOLERANCE = 1e-3;

interface Choice {
  readonly device: 'webgpu' | 'wasm';
  readonly dtype: Dtype;
  readonly maxBufferBytes?: number;
}

test.describe('tiny checkpoints in parts of a few kB', () => {
  // 8 kB cut the inner matrices of tiny-mistral into 10 parts: more than one Concat takes.
  for (const [name, maxBufferBytes] of [
    ['tiny-llama', 8_200],
    ['tiny-mistral', 8_192],
    ['tiny-qwen2', 16_384],
    ['tiny-qwen2-tied', 8_192],
  ] as const) {
    test(`${name} in float32: logits and greedy ids are those of transformers${name === 'tiny-llama' ? '' : ' @long'}`, async ({
      app,
      openHub,
    }) => {
      const { reference, logits } = await readReference(name);
      const hub = await openHub({ [ID]: { main: { directory: checkpointFolder(name) ?? '' } } });
      const choice = { device: 'webgpu', dtype: 'fp32', maxBufferBytes } as const;
      const plan = await planModel(app, hub.endpoint, choice);
      expect(plan.limits).toEqual({ maxBufferBytes, simulated: true });
      expect(countParts(plan, 'embed')).toBeGreaterThan(4);
      expect(plan.contextReason).toMatch(/^Shortened from 512 tokens/u);
      expect(plan.contextTokens).toBe(plan.longestContextTokens);

      const model = await loadModel(app, hub.endpoint, choice);
      for (const prompt of reference.prompts.filter(({ inputIds }) => inputIds.length <= plan.contextTokens)) {
        const expected = [...logits(prompt.logits, prompt.logits.length)];
        expect(await compareLogits(model, prompt.inputIds, expected)).toBeLessThan(LOGIT_TOLERANCE);
      }
      const { inputIds, ids } = reference.greedy;
      const count = Math.min(ids.length, plan.contextTokens - inputIds.length);
      expect(count).toBeGreaterThan(20);
      expect(await generateGreedily(model, inputIds, count)).toEqual(ids.slice(0, count));
    });
  }

  for (const [name, dtype, maxBufferBytes] of [
    ['tiny-mistral', 'q8', 8_192],
    ['tiny-mistral', 'q4', 8_192],
    ['tiny-qwen2', 'q8', 16_384],
  ] as const) {
    test(`${name} in ${dtype}: logits are those of the whole model on WebAssembly @long`, async ({ app, openHub }) => {
      const hub = await openHub({ [ID]: { main: { directory: checkpointFolder(name) ?? '' } } });
      const choice = { device: 'webgpu', dtype, maxBufferBytes } as const;
      expect(countParts(await planModel(app, hub.endpoint, choice), 'lm_head')).toBeGreaterThan(1);
      const whole = await loadModel(app, hub.endpoint, { device: 'wasm', dtype });
      const split = await loadModel(app, hub.endpoint, choice);
      for (const prompt of [[5], [250, 0, 131, 64, 7, 128, 33, 200, 1]]) {
        const expected = await logitsOf(whole, prompt);
        expect(await compareLogits(split, prompt, expected)).toBeLessThan(LOGIT_TOLERANCE);
      }
    });
  }
});

test.describe('an embedding of 132 MiB', () => {
  // Ids of every part, and of both sides of where parts meet.
  const prompts = [[0, 359_999, 179_999, 180_000, 180_032, 72_000, 71_999, 250_000, 333_333], [359_998]];

  for (const { dtype, mib, parts } of [
    { dtype: 'fp32', mib: 128, parts: 2 },
    { dtype: 'q8', mib: 32, parts: 2 },
  ] as const) {
    test(`in ${dtype} where ${mib} MiB are bound, in ${parts} parts @long`, async ({ app, openHub }, info) => {
      test.setTimeout(300_000); // half a minute each where nothing else runs
      const hub = await openHub({ [ID]: makeLargeVocabulary() });
      const whole = await loadModel(app, hub.endpoint, { device: 'wasm', dtype });
      const expected = [];
      for (const prompt of prompts) expected.push(await logitsOf(whole, prompt));
      await whole.evaluate((model) => model.dispose());
      const spread = await expected[0]?.evaluate((logits) => {
        const sorted = logits.toSorted();
        return (sorted.at(-1) ?? 0) - (sorted[0] ?? 0);
      });
      expect(spread, 'logits differ by much more than the tolerance').toBeGreaterThan(0.5);

      const choice = { device: 'webgpu', dtype, maxBufferBytes: mib * MIB } as const;
      expect(countParts(await planModel(app, hub.endpoint, choice), 'embed')).toBe(parts);
      const split = await loadModel(app, hub.endpoint, choice);
      let worst = 0;
      for (const [index, prompt] of prompts.entries()) {
        worst = Math.max(worst, await compareLogits(split, prompt, expected[index] ?? []));
      }
      const line = `${dtype} within ${mib} MiB, ${parts} parts: largest logit difference ${worst.toExponential(1)}`;
      info.annotations.push({ type: 'measured', description: line });
      console.log(`  measured: ${line}`);
      expect(worst).toBeLessThan(LOGIT_TOLERANCE);
    });
  }
});

test('rows that cannot be split: does_not_fit, with the numbers and the device that would do', async ({
  app,
  openHub,
}) => {
  const hub = await openHub({ [ID]: { main: { directory: checkpointFolder('tiny-qwen2') ?? '' } } });
  const failure = await tryLoad(app, ID, {
    endpoint: hub.endpoint,
    device: 'webgpu',
    dtype: 'fp32',
    simulatedLimits: { maxBufferBytes: 240 },
  });
  expect(failure).toMatchObject({ code: 'does_not_fit', stage: 'plan' });
  expect(failure?.detail).toMatchObject({ limitBytes: 240, elsewhere: { device: 'wasm' } });
  expect(failure?.message).toMatch(/device "wasm" fp32, q8, q4 would fit/u);
});

const WEBKIT = 'AppleWebKit/605.1.15 (KHTML, like Gecko) Version/26.0';
for (const [name, userAgent, touchPoints] of [
  ['an iPhone', `Mozilla/5.0 (iPhone; CPU iPhone OS 18_7 like Mac OS X) ${WEBKIT} Mobile/15E148 Safari/604.1`, 5],
  ['an iPad that says it is a Mac', `Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) ${WEBKIT} Safari/605.1.15`, 5],
  ['a Mac', `Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) ${WEBKIT} Safari/605.1.15`, 0],
] as const) {
  test(`the plan keeps to what ${name} lets a page hold`, async ({ browser, baseURL, openHub }) => {
    const folder = checkpointFolder('tiny-qwen2') ?? '';
    const config = JSON.parse(await readFile(`${folder}/config.json`, 'utf8')) as object;
    const files = {
      'config.json': JSON.stringify({ ...config, max_position_embeddings: 50_000_000 }),
      'model.safetensors': { path: `${folder}/model.safetensors` },
    };
    const hub = await openHub({ [ID]: { main: { files } } });
    const context = await browser.newContext({ userAgent, baseURL: baseURL ?? '', serviceWorkers: 'block' });
    await context.addInitScript((count) => {
      Object.defineProperty(navigator, 'maxTouchPoints', { value: count });
    }, touchPoints);
    const page = await context.newPage();
    await openApp(page);
    const { contextTokens, contextReason } = await page.evaluate(
      ([endpoint, id]) =>
        window.firstlight
          .createLoader({ hub: { endpoint } })
          .plan(id, { device: 'wasm', dtype: 'fp32', contextTokens: 5_000_000 }),
      [hub.endpoint, ID] as const,
    );
    await context.close();
    const isIos = name !== 'a Mac';
    expect(/iPhone or iPad has room for no more/u.test(contextReason), contextReason).toBe(isIos);
    // Two conversations of 512 bytes a token, and the rotary tables, in what 1.5 GiB leave.
    if (isIos) expect(2 * 512 * contextTokens).toBeLessThan(1.25 * 2 ** 30);
  });
}

function countParts({ parts }: Pick<PlanSummary, 'parts'>, name: string): number {
  return parts[name] ?? 0;
}

function planModel(page: Page, endpoint: string, choice: Choice): Promise<PlanSummary> {
  return page.evaluate(
    ([hub, { maxBufferBytes, ...options }]) =>
      window.firstlight
        .createLoader({ hub: { endpoint: hub }, bundledBaseUrl: null })
        .plan('test/model', { ...options, ...(maxBufferBytes ? { simulatedLimits: { maxBufferBytes } } : {}) }),
    [endpoint, choice] as const,
  );
}

function loadModel(page: Page, endpoint: string, choice: Choice): Promise<JSHandle<Model>> {
  return page.evaluateHandle(
    ([hub, { maxBufferBytes, ...options }]) =>
      window.firstlight
        .createLoader({ hub: { endpoint: hub }, bundledBaseUrl: null })
        .load('test/model', { ...options, ...(maxBufferBytes ? { simulatedLimits: { maxBufferBytes } } : {}) }),
    [endpoint, choice] as const,
  );
}

/** Logits of the last position, which stay in the page: those of a large vocabulary are slow to bring out. */
function logitsOf(model: JSHandle<Model>, prompt: readonly number[]): Promise<JSHandle<Float32Array>> {
  return model.evaluateHandle((handle, ids) => handle.logits(ids), prompt);
}

/** The largest absolute difference; Infinity where the lengths differ or a number is none. */
async function compareLogits(
  model: JSHandle<Model>,
  prompt: readonly number[],
  expected: JSHandle<Float32Array> | readonly number[],
): Promise<number> {
  const logits = await logitsOf(model, prompt);
  return logits.evaluate((ours, theirs) => {
    if (ours.length !== theirs.length) return Infinity;
    return ours.reduce((worst, value, index) => {
      const difference = Math.abs(value - (theirs[index] ?? NaN));
      return Number.isNaN(difference) ? Infinity : Math.max(worst, difference);
    }, 0);
  }, expected);
}

function generateGreedily(model: JSHandle<Model>, prompt: readonly number[], count: number): Promise<number[]> {
  return model.evaluate(
    async (handle, [ids, max_new_tokens]) => {
      const made: number[] = [];
      const options = { do_sample: false, repetition_penalty: 1, max_new_tokens };
      for await (const { id } of handle.generate(ids, options)) made.push(id);
      return made;
    },
    [prompt, count] as const,
  );
}
