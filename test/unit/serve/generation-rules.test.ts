/**
 * The rules of a generation config against transformers in Python (test/fixtures/generation-rules.json): the same model (a
 * table of logits by the last token), the same settings, the same ids and distributions.
 */
import { readFileSync } from 'node:fs';
import * as ort from 'onnxruntime-web';
import { beforeAll, describe, expect, it } from 'vitest';
import { LoadError } from '../../../src/contract/errors.ts';
import { CachedDecoder } from '../../../src/pipeline/sequences/cached-decoder.ts';
import { completeSettings } from '../../../src/pipeline/serve/generate-settings.ts';
import type { GenerateSettings } from '../../../src/pipeline/serve/generate-settings.ts';
import { readGenerationDefaults } from '../../../src/pipeline/serve/generation-defaults.ts';
import { runGeneration } from '../../../src/pipeline/serve/generator.ts';
import type { GeneratorResult } from '../../../src/pipeline/serve/generator.ts';
import type { GeneratorParts } from '../../../src/pipeline/serve/generator-parts.ts';
import { sampleToken } from '../../../src/pipeline/serve/sampling.ts';
import type { Transformers } from '../../../src/runtime/ort/transformers.ts';
import type { Decoder } from '../../../src/runtime/decoder.ts';

type JsonObject = Readonly<Record<string, unknown>>;

interface Recorded {
  readonly endIds: readonly number[];
  readonly table: readonly (readonly number[])[];
  readonly greedy: readonly { readonly rule: JsonObject; readonly prompt: readonly number[]; readonly ids: number[] }[];
  readonly sampled: readonly { readonly sampling: JsonObject; readonly row: number; readonly shares: number[] }[];
}

const url = new URL('../../fixtures/generation-rules.json', import.meta.url);
const recorded = JSON.parse(readFileSync(url, 'utf8')) as Recorded;
let transformers: Transformers;
beforeAll(async () => {
  // As in the worker: transformers.js takes the runtime that stands here when it is first imported.
  Object.assign(globalThis, { [Symbol.for('onnxruntime')]: ort });
  transformers = await import('@huggingface/transformers');
});

const vocabSize = recorded.table.length;

/** Nothing is decoded here. */
const openText: GeneratorParts['openText'] = () => ({ decoder: { push: () => '', end: () => '' }, promptRest: '' });

const tableDecoder: Decoder = {
  contextTokens: 1000,
  run: (ids) => Promise.resolve(Float32Array.from(recorded.table[ids.at(-1) ?? 0] ?? [])),
  release: () => Promise.resolve(),
};

function settingsOf(file: JsonObject, promptTokens: number): GenerateSettings {
  const { defaults, notices } = readGenerationDefaults({ max_new_tokens: 24, ...file }, {});
  expect(notices.filter((notice) => !notice.includes('always the best'))).toEqual([]);
  return completeSettings({}, { defaults, eosIds: new Set(recorded.endIds), promptTokens, roomTokens: 900 });
}

async function generate(
  file: JsonObject,
  prompt: readonly number[],
): Promise<{ readonly ids: number[]; readonly result: GeneratorResult }> {
  const ids: number[] = [];
  const parts = {
    transformers,
    decoder: new CachedDecoder(tableDecoder),
    // What stands here must not count twice.
    config: { model_type: 'llama', num_beams: 3, no_repeat_ngram_size: 1, min_length: 20, guidance_scale: 2 },
    vocabSize,
    openText,
  };
  const { signal } = new AbortController();
  const settings = settingsOf(file, prompt.length);
  const result = await runGeneration(parts, prompt, settings, ({ id }) => ids.push(id), signal);
  return { ids, result };
}

describe('greedy choice under the rules of a generation config', () => {
  it.each(recorded.greedy.map((run) => [JSON.stringify(run.rule), run.prompt, run] as const))(
    '%s from %j: the ids of transformers',
    async (_rule, prompt, { rule, ids }) => {
      const made = await generate(rule, prompt);
      expect(made.ids).toEqual(ids);
      expect(made.result.finishReason).toBe(recorded.endIds.includes(ids.at(-1) ?? -1) ? 'eos' : 'length');
    },
  );
});

describe('sampled choice', () => {
  it.each(recorded.sampled.map((one) => [JSON.stringify(one.sampling), one.row, one] as const))(
    '%s after token %i: the distribution of transformers',
    (_sampling, row, { sampling: file, shares }) => {
      const { sampling } = settingsOf({ do_sample: true, ...file }, 1);
      const logits = recorded.table[row] ?? [];
      if (sampling === null) {
        expect(shares[logits.indexOf(Math.max(...logits))]).toBe(1); // greedy
        return;
      }
      const counts = logits.map(() => 0);
      const draws = 10_000;
      for (let draw = 0; draw < draws; draw++) {
        const id = sampleToken(Float32Array.from(logits), sampling, () => (draw + 0.5) / draws);
        counts[id] = (counts[id] ?? 0) + 1;
      }
      // Evenly spaced numbers measure each share to within one draw at either edge.
      counts.forEach((count, id) => expect(Math.abs(count / draws - (shares[id] ?? 0))).toBeLessThan(2.5 / draws));
    },
  );
});

describe('a model that fails', () => {
  const answer = (decoder: Decoder): Promise<number[]> => {
    const ids: number[] = [];
    return runGeneration(
      { transformers, decoder: new CachedDecoder(decoder), config: {}, vocabSize, openText },
      [1, 2],
      { ...settingsOf({}, 1), maxNewTokens: 4 },
      ({ id }) => ids.push(id),
      new AbortController().signal,
    ).then(() => ids);
  };

  it('ends its generation with its own error, and takes nothing from the next', async () => {
    const lost = new LoadError('device_lost');
    const failing: Decoder = { ...tableDecoder, run: () => Promise.reject(lost) };
    await expect(answer(failing)).rejects.toBe(lost);
    expect(await answer(tableDecoder)).toHaveLength(4);
  });
});

describe('a long prompt', () => {
  it('is passed on whole: more tokens than a call can have arguments', async () => {
    const prompt = Array.from({ length: 300_000 }, (_, index) => index % vocabSize);
    const parts = { ...tableDecoder, contextTokens: 400_000 };
    const decoder = new CachedDecoder(parts, { chunkTokens: 300_000 });
    const ids: number[] = [];
    const { signal } = new AbortController();
    await runGeneration(
      {
        transformers,
        decoder,
        config: {},
        vocabSize,
        openText,
      },
      prompt,
      { ...settingsOf({}, 1), maxNewTokens: 2 },
      ({ id }) => ids.push(id),
      signal,
    );
    expect(ids).toHaveLength(2);
  });
});
