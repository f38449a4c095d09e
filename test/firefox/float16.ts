/**
 * fp16 and q4f16 on WebGPU against what Hugging Face transformers computed in float32.
 *
 * In: the built app, the local hub, a Firefox with WebGPU. Out: an exit code. Nothing is timed: each run of the GPU takes
 * Firefox 100 ms at least.
 */
import assert from 'node:assert/strict';
import type { Page } from 'puppeteer-core';
import { build, preview } from 'vite';
import { startHub } from '../hub/index.ts';
import { divergence, KL_BOUND } from '../e2e/divergence.ts';
import { checkpointFolder, readReference } from '../e2e/support.ts';
import { findFirefox, startFirefox } from './browser.ts';

const MODELS = ['storyteller-2m', 'tiny-llama', 'tiny-qwen2-tied'];
const DTYPES = ['fp16', 'q4f16'] as const;

/** Positions of the scored text; more of them only take longer. */
const POSITIONS = 24;

/** 0: all is well, or there is nothing to run it on. */
export async function run(): Promise<number> {
  const executablePath = findFirefox();
  if (executablePath === null) {
    console.log('SKIPPED: no Firefox was found (Debian: apt-get install firefox-esr mesa-vulkan-drivers)');
    return 0;
  }
  await build({ logLevel: 'error' });
  const server = await preview({ preview: { port: 0 }, logLevel: 'error' });
  const browser = await startFirefox(executablePath);
  try {
    const page = await browser.newPage();
    await page.goto(server.resolvedUrls?.local[0] ?? '');
    await page.waitForFunction(() => 'firstlight' in window);
    const adapter = await page.evaluate(() => window.firstlight.loader.adapter());
    if (!adapter?.features.includes('shader-f16')) {
      console.log(
        `SKIPPED: ${adapter ? 'the adapter of this Firefox lacks shader-f16' : 'this Firefox has no WebGPU adapter'}`,
      );
      return 0;
    }
    for (const name of MODELS) for (const dtype of DTYPES) await compare(page, name, dtype);
    return 0;
  } catch (error) {
    console.error(error);
    return 1;
  } finally {
    await browser.close();
    await server.close();
  }
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

/** How many are equal before the first that is not. */
function countEqual(a: readonly number[], b: readonly number[]): number {
  const end = a.findIndex((value, index) => value !== b[index]);
  return end < 0 ? a.length : end;
}
