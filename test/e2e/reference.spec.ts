/**
 * Numbers against Hugging Face transformers: logits and greedy ids in float32 on both devices, and how far the quantised
 * dtypes are from them.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { JSHandle, Page } from '@playwright/test';
import type { Model } from '../../src/index.ts';
import { divergence, KL_BOUND } from './divergence.ts';
import { checkpointFolder, expect, readReference, test, testInKeptApp } from './support.ts';

const NAMES = readdirSync(fileURLToPath(new URL('../fixtures/reference/', import.meta.url)))
  .filter((file) => file.endsWith('.f32'))
  .map((file) => file.replace('.f32', ''))
  .sort();

/** Largest difference of a float32 logit: two float32 programs that sum in different orders stay well below it. */
const LOGIT_TOLERANCE = 1e-3;

/**
 * Of each family one on WebAssembly, of the models with padded heads one, and what float16 could not hold: the others run in
 * `npm run test:long`, and on the same runtime in Node (test/unit/blueprints/numbers.test.ts).
 */
const OFTEN_ON_WASM = ['storyteller-2m', 'tiny-llama-head8', 'tiny-mistral', 'tiny-qwen2-tied', 'tiny-qwen2-massive'];

/**
 * A software GPU takes long. `npm test` has one here, tiny-llama where limits are forced down (limits.spec.ts), tiny-qwen2
 * while its cache grows (growth.spec.ts), and the bundled model's own test, which transformers computed, at each of its loads.
 * tiny-qwen3 is here because its heads are normalised by a kernel that only a GPU has.
 */
const OFTEN_ON_GPU = ['tiny-llama-head8', 'tiny-qwen3'];

/** A software GPU takes up to half a second a token: growth.spec.ts has a long text, and `npm run test:long` all of them. */
const MAX_GPU_TOKENS = process.env['LONG'] ? undefined : 32;

for (const name of NAMES) {
  const folder = checkpointFolder(name);
  test.describe(name, () => {
    test.skip(folder === null, `the checkpoint of ${name} is not on this machine (../shared/data)`);

    for (const device of ['webgpu', 'wasm'] as const) {
      const often = device === 'wasm' ? OFTEN_ON_WASM : OFTEN_ON_GPU;
      const isRare = !often.includes(name);
      const inPage = device === 'wasm' ? testInKeptApp : test;
      inPage(
        `float32 on ${device}: logits and greedy ids are those of transformers${isRare ? ' @long' : ''}`,
        async ({ app, openHub }, info) => {
          const { reference, logits } = await readReference(name);
          const hub = await openHub({ 'test/model': { main: { directory: folder ?? '' } } });
          const model = await loadModel(app, hub.endpoint, device, 'fp32');

          let worst = 0;
          for (const prompt of reference.prompts) {
            const ours = await logitsOf(model, [prompt.inputIds]);
            const theirs = logits(prompt.logits, prompt.logits.length);
            worst = Math.max(worst, largestDifference(ours, theirs));
          }
          const { inputIds } = reference.greedy;
          const ids = reference.greedy.ids.slice(0, device === 'webgpu' ? MAX_GPU_TOKENS : undefined);
          const generated = await model.evaluate(
            async (handle, [prompt, count]) => {
              const made: number[] = [];
              const options = { do_sample: false, repetition_penalty: 1, max_new_tokens: count };
              for await (const { id } of handle.generate(prompt, options)) made.push(id);
              return made;
            },
            [inputIds, ids.length] as const,
          );
          report(
            info,
            `${name} ${device} fp32: largest logit difference ${worst.toExponential(1)}, ${ids.length} greedy ids`,
          );
          expect(worst).toBeLessThan(LOGIT_TOLERANCE);
          expect(ids.length).toBeGreaterThanOrEqual(device === 'webgpu' ? (MAX_GPU_TOKENS ?? 100) : 100);
          expect(generated).toEqual(ids);
          await model.evaluate((handle) => handle.dispose());
        },
      );

      // What quantising does to numbers differs between trained and random weights, hardly between families.
      const isOften = device === 'wasm' && ['storyteller-2m', 'tiny-llama-head8'].includes(name);
      inPage(
        `q8 and q4 on ${device}: KL divergence from float32${isOften ? '' : ' @long'}`,
        async ({ app, openHub }, info) => {
          const { reference, logits } = await readReference(name);
          const hub = await openHub({ 'test/model': { main: { directory: folder ?? '' } } });
          const { inputIds, logits: at } = reference.scoring;
          const [positions, vocabSize] = at.shape;
          const expected = logits(at, positions * vocabSize);
          for (const dtype of ['q8', 'q4'] as const) {
            const model = await loadModel(app, hub.endpoint, device, dtype);
            // Each prefix is one token longer than the last: all but the first run one token.
            const ours = await logitsOf(
              model,
              Array.from({ length: positions }, (_, position) => inputIds.slice(0, position + 1)),
            );
            const perToken = Array.from({ length: positions }, (_, position) => {
              const row = [position * vocabSize, (position + 1) * vocabSize] as const;
              return divergence(expected.subarray(...row), ours.subarray(...row));
            });
            const mean = perToken.reduce((sum, value) => sum + value, 0) / positions;
            const bound = KL_BOUND[name.startsWith('tiny-') ? 'random' : 'trained'][dtype];
            report(
              info,
              `${name} ${device} ${dtype}: KL per token mean ${mean.toFixed(5)}, worst ${Math.max(...perToken).toFixed(5)} (bound ${bound})`,
            );
            expect(mean).toBeLessThan(bound);
            await model.evaluate((handle) => handle.dispose());
          }
        },
      );
    }
  });
}

test('a head that config.json ties to the embedding, though another one is saved: logits are those of transformers, and a notice says so', async ({
  app,
  openHub,
}) => {
  // Which transformers takes for what it is, an untied model (test/unit/plan/golden/tied-heads.json), the recorded one.
  const folder = checkpointFolder('tiny-mistral') ?? '';
  const { reference, logits } = await readReference('tiny-mistral');
  const files = Object.fromEntries(readdirSync(folder).map((path) => [path, readFileSync(join(folder, path))]));
  const config = JSON.parse(String(files['config.json'])) as object;
  const contradicting = { ...files, 'config.json': JSON.stringify({ ...config, tie_word_embeddings: true }) };
  const hub = await openHub({ 'test/model': { main: { files: contradicting } } });
  const model = await loadModel(app, hub.endpoint, 'wasm', 'fp32');
  const prompt = reference.prompts.at(-1);
  expect(prompt).toBeDefined();
  if (!prompt) return;
  const theirs = logits(prompt.logits, prompt.logits.length);
  expect(largestDifference(await logitsOf(model, [prompt.inputIds]), theirs)).toBeLessThan(LOGIT_TOLERANCE);
  const notices = await model.evaluate((handle) => handle.report.notices);
  expect(notices).toContainEqual(expect.stringMatching(/ties lm_head\.weight .* they differ/));
});

async function loadModel(
  page: Page,
  endpoint: string,
  device: 'webgpu' | 'wasm',
  dtype: 'fp32' | 'q8' | 'q4',
): Promise<JSHandle<Model>> {
  return page.evaluateHandle(
    ([hub, on, as]) =>
      window.firstlight
        .createLoader({ hub: { endpoint: hub }, bundledBaseUrl: null })
        .load('test/model', { device: on, dtype: as }),
    [endpoint, device, dtype] as const,
  );
}

/** Last-position logits of each prompt, one after another. */
async function logitsOf(model: JSHandle<Model>, prompts: readonly (readonly number[])[]): Promise<Float32Array> {
  const base64 = await model.evaluate(async (handle, all) => {
    const rows: Float32Array[] = [];
    for (const prompt of all) rows.push(await handle.logits(prompt));
    const bytes = new Uint8Array(await new Blob(rows as Float32Array<ArrayBuffer>[]).arrayBuffer());
    let text = '';
    for (const byte of bytes) text += String.fromCharCode(byte);
    return btoa(text);
  }, prompts);
  const bytes = Buffer.from(base64, 'base64');
  return new Float32Array(bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.byteLength));
}

function largestDifference(ours: Float32Array, theirs: Float32Array): number {
  expect(ours.length).toBe(theirs.length);
  return ours.reduce((worst, value, index) => Math.max(worst, Math.abs(value - (theirs[index] ?? NaN))), 0);
}

function report(info: { annotations: { type: string; description?: string }[] }, line: string): void {
  info.annotations.push({ type: 'measured', description: line });
  console.log(`  measured: ${line}`);
}
