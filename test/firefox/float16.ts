/**
 * fp16 and q4f16 on WebGPU against what Hugging Face transformers computed in float32.
 *
 * In: the built app, the local hub, a Firefox with WebGPU. Out: an exit code. Nothing is timed: each run of the GPU takes
 * Firefox 100 ms at least.
 */
import assert from 'node:assert/strict';
import type { Page } from 'puppeteer-core';
import { startHub } from '../hub/index.ts';
import { divergence, KL_BOUND } from '../e2e/divergence.ts';
import { checkpointFolder, readReference } from '../e2e/support.ts';
import { type InPage, runInBuiltApp } from './built-app.ts';
import { describeOverflowing, makeOverflowing } from './overflowing.ts';

const MODELS = ['storyteller-2m', 'tiny-llama', 'tiny-qwen2-tied', 'tiny-qwen2-massive'];
const DTYPES = ['fp16', 'q4f16'] as const;

/** Two growths: to 48 tokens, and to 96. */
const GROWN = { name: 'tiny-qwen2-tied', reserve: 24, max: 512, newTokens: 60 };

/** Positions of the scored text; more of them only take longer. */
const POSITIONS = 24;

/** 0: all is well, or there is nothing to run it on. */
export function run(): Promise<number> {
  const work = async (inPages: InPage): Promise<void> => {
    for (const name of MODELS) {
      for (const dtype of DTYPES) await inPages((page) => compare(page, name, dtype));
    }
    for (const dtype of DTYPES) await inPages((page) => compareGrowth(page, dtype));
    for (const dtype of DTYPES) await inPages((page) => refuseOverflow(page, dtype));
  };
  return runInBuiltApp(work, { needsFloat16: true });
}

async function compare(page: Page, name: string, dtype: (typeof DTYPES)[number]): Promise<void> {
  const { reference, logits } = await readReference(name);
  const { inputIds, logits: at } = reference.scoring;
  const positions = Math.min(POSITIONS, at.shape[0]);
  const vocabSize = at.shape[1];
  const expected = logits(at, positions * vocabSize);
  const hub = await startHub({ repositories: { 'test/model': { main: { directory: checkpointFolder(name) ?? '' } } } });
  try {
    const { rows, ids, path, notices } = await page.evaluate(
      async (endpoint, as, prompt, count, greedyPrompt) => {
        const loader = window.firstlight.createLoader({ hub: { endpoint }, bundledBaseUrl: null });
        const model = await loader.load('test/model', { device: 'webgpu', dtype: as });
        const rows: number[][] = [];
        for (let length = 1; length <= count; length++) rows.push([...(await model.logits(prompt.slice(0, length)))]);
        const ids: number[] = [];
        let path = '';
        const options = { do_sample: false, max_new_tokens: 16, repetition_penalty: 1 };
        for await (const { id } of model.generate(greedyPrompt, { ...options, onReport: (end) => (path = end.path) })) {
          ids.push(id);
        }
        const { notices } = model.report;
        await loader.dispose();
        return { rows, ids, path, notices };
      },
      hub.endpoint,
      dtype,
      [...inputIds],
      positions,
      [...reference.greedy.inputIds],
    );
    const perToken = rows.map((row, position) =>
      divergence(expected.subarray(position * vocabSize, (position + 1) * vocabSize), Float32Array.from(row)),
    );
    const mean = perToken.reduce((sum, value) => sum + value, 0) / positions;
    const bound = KL_BOUND[name.startsWith('tiny-') ? 'random' : 'trained'][dtype];
    console.log(
      `  measured: ${name} ${dtype}: KL per token mean ${mean.toFixed(5)}, worst ${Math.max(...perToken).toFixed(5)} (bound ${bound}), ` +
        `${countEqual(ids, reference.greedy.ids)} of ${ids.length} greedy ids, path ${path}${notices.length > 0 ? `, ${notices.join(' ')}` : ''}`,
    );
    assert.ok(mean < bound, `${name} ${dtype}: KL ${mean} is not below ${bound}`);
    // Rounding may turn a choice between two equal tokens; the first ones are clear in every model.
    if (dtype === 'fp16') assert.ok(countEqual(ids, reference.greedy.ids) >= 8, `${name}: ${ids.join(' ')}`);
  } finally {
    await hub.close();
  }
}

/**
 * A KV cache that grows in float16: the ids of one that had its whole length from the beginning, and, as far as rounding leaves
 * them alone, those of transformers.
 */
async function compareGrowth(page: Page, dtype: (typeof DTYPES)[number]): Promise<void> {
  const { reference } = await readReference(GROWN.name);
  const { inputIds, ids: expected } = reference.greedy;
  const directory = checkpointFolder(GROWN.name) ?? '';
  const hub = await startHub({ repositories: { 'test/model': { main: { directory } } } });
  try {
    const [grown, whole] = await page.evaluate(
      async (endpoint, as, prompt, { reserve, max, newTokens }) => {
        const made = [];
        for (const contextTokens of [{ reserve, max }, max]) {
          const loader = window.firstlight.createLoader({ hub: { endpoint }, bundledBaseUrl: null });
          const model = await loader.load('test/model', { device: 'webgpu', dtype: as, contextTokens });
          const before = (await model.memory()).contextTokens;
          const options = { do_sample: false, max_new_tokens: newTokens, min_new_tokens: newTokens };
          const ids: number[] = [];
          let path = '';
          for await (const { id } of model.generate(prompt, { ...options, onReport: (end) => (path = end.path) })) {
            ids.push(id);
          }
          made.push({ ids, path, before, after: (await model.memory()).contextTokens });
          await loader.dispose();
        }
        return made;
      },
      hub.endpoint,
      dtype,
      [...inputIds],
      GROWN,
    );
    assert.ok(grown && whole);
    const equal = countEqual(grown.ids, expected);
    console.log(
      `  measured: ${GROWN.name} ${dtype}: the cache grew from ${grown.before} to ${grown.after} tokens, ` +
        `${countEqual(grown.ids, whole.ids)} of ${grown.ids.length} greedy ids are those of one of ${whole.after}, ` +
        `${equal} those of transformers, path ${grown.path}`,
    );
    assert.deepEqual([grown.before, grown.after], [GROWN.reserve, 4 * GROWN.reserve]);
    assert.deepEqual([whole.before, whole.after], [GROWN.max, GROWN.max]);
    assert.deepEqual([grown.path, whole.path], ['gpu', 'gpu']);
    assert.equal(grown.ids.length, GROWN.newTokens);
    assert.deepEqual(grown.ids, whole.ids);
    if (dtype === 'fp16') assert.ok(inputIds.length + equal > 2 * GROWN.reserve, grown.ids.join(' '));
  } finally {
    await hub.close();
  }
}

/**
 * A block that adds more than 65,504 at once overflows in float16, at the first id of a prompt and nowhere else: refused, with
 * the dtypes that hold it. The same checkpoint loads in float32.
 */
async function refuseOverflow(page: Page, dtype: (typeof DTYPES)[number]): Promise<void> {
  const files = await makeOverflowing();
  const hub = await startHub({ repositories: { 'test/model': { main: { files } } } });
  try {
    const [narrow, wide] = await page.evaluate(
      async (endpoint, asked) => {
        const outcomes = [];
        for (const as of [asked, 'fp32'] as const) {
          const loader = window.firstlight.createLoader({ hub: { endpoint }, bundledBaseUrl: null });
          try {
            await loader.load('test/model', { device: 'webgpu', dtype: as });
            outcomes.push(null);
          } catch (error) {
            if (!window.firstlight.isLoadError(error)) throw error;
            outcomes.push({ code: error.code, message: error.message, detail: error.detail });
          }
          await loader.dispose();
        }
        return outcomes;
      },
      hub.endpoint,
      dtype,
    );
    assert.equal(narrow?.code, 'output_mismatch', `${dtype}: ${JSON.stringify(narrow)}`);
    assert.deepEqual(narrow.detail['available'], ['fp32', 'q8', 'q4']);
    assert.match(narrow.message, /65,504.*take fp32, q8, q4/u);
    assert.equal(wide, null);
    console.log(`  ${describeOverflowing()} is refused in ${dtype}: ${narrow.message}`);
  } finally {
    await hub.close();
  }
}

/** How many are equal before the first that is not. */
function countEqual(a: readonly number[], b: readonly number[]): number {
  const end = a.findIndex((value, index) => value !== b[index]);
  return end < 0 ? a.length : end;
}
