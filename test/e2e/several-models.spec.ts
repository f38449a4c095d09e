/**
 * Several models in one worker: each answers as if it were alone, while others answer, are loaded, or read a long prompt.
 */
import { readdir, readFile } from 'node:fs/promises';
import type { JSHandle, Page } from '@playwright/test';
import type { Loader, Model } from '../../src/index.ts';
import type { Hub, RepositorySpec } from '../hub/index.ts';
import { openLoader } from './model-worker.ts';
import { checkpointFolder, expect, readReference, test } from './support.ts';

type OpenHub = (repositories: Readonly<Record<string, RepositorySpec>>) => Promise<Hub>;

const NAMES = ['tiny-llama', 'tiny-qwen2', 'tiny-mistral'] as const;

/** Of each answer: as many as transformers recorded. */
const TOKENS = 128;

test('two models answer at once, while a third is loaded', async ({ app, openHub }) => {
  const loader = await openTinies(app, openHub);
  const [first, second] = [await load(loader, NAMES[0]), await load(loader, NAMES[1])];
  const wanted = await Promise.all(NAMES.map((name) => greedyOf(name, TOKENS)));

  const { rounds, order, third } = await app
    .evaluateHandle(
      async ([it, models, prompts, count, options]) => {
        const order: number[] = [];
        let isLoading = true;
        const loading = it.load(...options).finally(() => (isLoading = false));
        // Round after round, until the third is there.
        const answer = async (index: number): Promise<number[][]> => {
          const rounds: number[][] = [];
          do {
            const ids: number[] = [];
            const settings = { do_sample: false, repetition_penalty: 1, max_new_tokens: count };
            for await (const { id } of (models[index] as Model).generate(prompts[index] ?? [], settings)) {
              ids.push(id);
              order.push(index);
            }
            rounds.push(ids);
          } while (isLoading);
          return rounds;
        };
        const rounds = await Promise.all([answer(0), answer(1)]);
        return { rounds, order, third: await loading };
      },
      [
        loader,
        [first, second],
        wanted.map(({ prompt }) => prompt),
        TOKENS,
        [`test/${NAMES[2]}`, { device: 'wasm', dtype: 'fp32' }] as const,
      ] as const,
    )
    .then(async (handle) => ({
      ...(await handle.evaluate(({ rounds, order }) => ({ rounds, order }))),
      third: await handle.evaluateHandle(({ third }) => third),
    }));

  for (const [index, answers] of rounds.entries()) {
    for (const ids of answers) expect(ids, NAMES[index] ?? '').toEqual(wanted[index]?.ids);
  }
  // Taking turns, each has its tenth token before the other has its last.
  const tenth = (index: number): number => order.findIndex((_, at) => count(order.slice(0, at + 1), index) === 10);
  for (const index of [0, 1]) expect(count(order.slice(0, tenth(index)), 1 - index)).toBeLessThan(TOKENS);
  expect(await answerOf(third, wanted[2]?.prompt ?? [], TOKENS)).toEqual(wanted[2]?.ids);
});

test('a long prompt of one model lets the other answer between its parts', async ({ app, openHub }) => {
  // As long as eight parts, of which transformers.js's own queue would have made one.
  const loader = await openTinies(app, openHub, 8192);
  const [reader, other] = [await load(loader, NAMES[0]), await load(loader, NAMES[1])];
  const wanted = await greedyOf(NAMES[1], 4);
  const order = await app.evaluate(
    async ([models, prompts]) => {
      const order: number[] = [];
      const answer = async (index: number): Promise<void> => {
        const settings = { do_sample: false, repetition_penalty: 1, max_new_tokens: 4 };
        for await (const { id } of (models[index] as Model).generate(prompts[index] ?? [], settings)) {
          if (index === 0) order.push(-1);
          else order.push(id);
        }
      };
      await Promise.all([answer(0), answer(1)]);
      return order;
    },
    [
      [reader, other],
      [Array.from({ length: 8 * 512 }, (_, index) => (index * 31) % 300), wanted.prompt],
    ] as const,
  );
  expect(order.slice(0, 4)).toEqual(wanted.ids);
});

/** A loader for all three checkpoints, made for longer contexts than they were, if that is asked for. */
async function openTinies(page: Page, openHub: OpenHub, contextTokens?: number): Promise<JSHandle<Loader>> {
  const entries = NAMES.map(async (name) => {
    const folder = checkpointFolder(name) ?? '';
    const files: Record<string, { path: string } | string> = Object.fromEntries(
      (await readdir(folder)).map((file) => [file, { path: `${folder}/${file}` }]),
    );
    if (contextTokens !== undefined) {
      const config = JSON.parse(await readFile(`${folder}/config.json`, 'utf8')) as object;
      files['config.json'] = JSON.stringify({ ...config, max_position_embeddings: contextTokens });
    }
    return [`test/${name}`, { main: { files } }] as const;
  });
  return openLoader(page, await openHub(Object.fromEntries(await Promise.all(entries))));
}

function load(loader: JSHandle<Loader>, name: string): Promise<JSHandle<Model>> {
  return loader.evaluateHandle((it, id) => it.load(id, { device: 'wasm', dtype: 'fp32' }), `test/${name}`);
}

/** The first tokens that transformers generates. */
async function greedyOf(name: string, count: number): Promise<{ prompt: readonly number[]; ids: readonly number[] }> {
  const { greedy } = (await readReference(name)).reference;
  return { prompt: greedy.inputIds, ids: greedy.ids.slice(0, count) };
}

function answerOf(model: JSHandle<Model>, prompt: readonly number[], count: number): Promise<number[]> {
  return model.evaluate(
    async (it, [input, tokens]) => {
      const ids: number[] = [];
      const settings = { do_sample: false, repetition_penalty: 1, max_new_tokens: tokens };
      for await (const { id } of it.generate(input, settings)) ids.push(id);
      return ids;
    },
    [prompt, count] as const,
  );
}

function count(items: readonly number[], item: number): number {
  return items.filter((one) => one === item).length;
}
