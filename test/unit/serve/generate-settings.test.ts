/** Options over a repository's generation config, and what nobody may ask for. */
import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import type { GenerateOptions } from '../../../src/contract/generate.ts';
import { listEndTokens } from '../../../src/pipeline/serve/end-tokens.ts';
import { completeSettings } from '../../../src/pipeline/serve/generate-settings.ts';
import type { GenerateSettings } from '../../../src/pipeline/serve/generate-settings.ts';
import { readGenerationDefaults } from '../../../src/pipeline/serve/generation-defaults.ts';
import { isAbsent, sharedData } from '../../shared-data.ts';

type JsonObject = Readonly<Record<string, unknown>>;

/** A prompt of 10 tokens in a context of 110. */
function complete(options: GenerateOptions, file: JsonObject | null, config: JsonObject = {}): GenerateSettings {
  const { defaults } = readGenerationDefaults(file, config);
  return completeSettings(options, { defaults, eosIds: new Set(), promptTokens: 10, roomTokens: 100 });
}

const noticesOf = (file: JsonObject | null, config: JsonObject = {}): readonly string[] =>
  readGenerationDefaults(file, config).notices;

describe('the length of an answer', () => {
  it.each([
    ['nobody says', {}, {}, 100, true],
    ['the call', { max_new_tokens: 5 }, { max_new_tokens: 7 }, 5, false],
    ['the file', {}, { max_new_tokens: 7 }, 7, false],
    ['the file says max_length only', {}, { max_length: 30 }, 100, true],
    ['the call, and there is no room', { max_new_tokens: 101 }, {}, 100, true],
    ['the file, and there is no room', {}, { max_new_tokens: 2048 }, 100, true],
    ['the call, for exactly the room', { max_new_tokens: 100 }, {}, 100, false],
  ] as const)('%s', (_who, options, file, maxNewTokens, limitedByContext) => {
    expect(complete(options, file)).toMatchObject({ maxNewTokens, limitedByContext });
  });

  it('min_length counts the prompt, min_new_tokens does not', () => {
    expect(complete({}, { min_length: 25 }).minNewTokens).toBe(15);
    expect(complete({}, { min_length: 5 }).minNewTokens).toBe(0);
    expect(complete({}, { min_length: 25, min_new_tokens: 3 }).minNewTokens).toBe(3);
    expect(complete({ min_new_tokens: 1 }, { min_length: 25, min_new_tokens: 3 }).minNewTokens).toBe(1);
  });
});

describe('precedence', () => {
  const file = {
    do_sample: true,
    temperature: 0.6,
    top_k: 20,
    top_p: 0.95,
    min_p: 0.05,
    repetition_penalty: 1.1,
    no_repeat_ngram_size: 4,
    suppress_tokens: [1, 2],
    begin_suppress_tokens: [3],
    bad_words_ids: [[4, 5]],
    stop_strings: ['END'],
  };
  it('takes from the file what the call leaves out', () => {
    expect(complete({}, file)).toMatchObject({
      sampling: { temperature: 0.6, topK: 20, topP: 0.95, minP: 0.05 },
      repetitionPenalty: 1.1,
      noRepeatNgramSize: 4,
      suppressedIds: [1, 2],
      beginSuppressedIds: [3],
      badWordsIds: [[4, 5]],
      stops: ['END'],
    });
  });

  it('takes from the call what it says', () => {
    const options = {
      top_k: 0,
      min_p: 0,
      no_repeat_ngram_size: 0,
      suppress_tokens: [],
      bad_words_ids: [[9]],
      stop: ['x'],
    };
    expect(complete(options, file)).toMatchObject({
      sampling: { temperature: 0.6, topK: 0, topP: 0.95, minP: 0 },
      noRepeatNgramSize: 0,
      suppressedIds: [],
      beginSuppressedIds: [3],
      badWordsIds: [[9]],
      stops: ['x'],
    });
    expect(complete({ do_sample: false }, file).sampling).toBeNull();
    expect(complete({ temperature: 0 }, file).sampling).toBeNull();
  });

  it("takes transformers' defaults where nobody says anything", () => {
    expect(complete({ do_sample: true }, null).sampling).toEqual({ temperature: 1, topK: 50, topP: 1, minP: 0 });
    expect(complete({}, null).sampling).toBeNull();
  });

  it('reads config.json, and its parts, only where there is no generation_config.json', () => {
    const config = { no_repeat_ngram_size: 2, temperature: null, text_config: { no_repeat_ngram_size: 3, top_k: 7 } };
    expect(complete({ do_sample: true }, null, config)).toMatchObject({ noRepeatNgramSize: 2, sampling: { topK: 7 } });
    expect(complete({}, {}, config).noRepeatNgramSize).toBe(0);
  });
});

describe('what the caller says', () => {
  it.each([
    { max_new_tokens: 0 },
    { max_new_tokens: 2.5 },
    { min_new_tokens: -1 },
    { temperature: -1 },
    { temperature: NaN },
    { top_k: -1 },
    { top_p: 0 },
    { top_p: 1.1 },
    { min_p: 1.5 },
    { repetition_penalty: 0 },
    { no_repeat_ngram_size: -2 },
    { suppress_tokens: [1, -1] },
    { begin_suppress_tokens: 7 as never },
    { bad_words_ids: [[]] },
    { bad_words_ids: [5] as never },
    { do_sample: 'yes' as never },
    { seed: 0.5 },
    { stop: 'END' as never },
  ])('is refused where it cannot be: %o', (options) => {
    const [key = ''] = Object.keys(options);
    expect(() => complete(options, null)).toThrow(
      expect.objectContaining({
        code: 'invalid_argument',
        message: expect.stringContaining(`${key} must be`) as string,
        detail: expect.objectContaining({ option: key }) as object,
      }),
    );
  });
});

describe('what the file says', () => {
  it.each([
    [{ top_p: 1.5 }, /top_p must be a number from 0 to 1, and is 1\.5; it is left out/u],
    [{ temperature: 'hot' }, /temperature must be .* and is "hot"/u],
    [{ temperature: -0.5 }, /temperature must be/u],
    [{ max_new_tokens: 0 }, /max_new_tokens must be/u],
    [{ suppress_tokens: [-1] }, /suppress_tokens must be/u],
    [{ bad_words_ids: [1, 2] }, /bad_words_ids must be/u],
    [{ top_k: -2 }, /top_k must be/u],
    [{ do_sample: 'true' }, /do_sample must be/u],
    [{ min_p: 7 }, /min_p must be/u],
  ])('never fails a generation, and is named: %o', (file, notice) => {
    expect(noticesOf(file)).toEqual([expect.stringMatching(notice)]);
    expect(noticesOf(file)[0]).toMatch(/^generation_config\.json/u);
    expect(complete({ do_sample: true }, file)).toEqual(complete({ do_sample: true }, {}));
  });

  it('keeps what some programs write and others do not: top_k -1, temperature 0, top_p 0', () => {
    expect(complete({ do_sample: true }, { top_k: -1 }).sampling?.topK).toBe(0);
    expect(noticesOf({ top_k: -1 })).toEqual([expect.stringMatching(/top_k is -1/u)]);
    for (const key of ['temperature', 'top_p']) {
      const file = { do_sample: true, [key]: 0 };
      expect(complete({}, file).sampling).toBeNull();
      expect(noticesOf(file)).toEqual([expect.stringContaining('always the best token')]);
    }
  });

  it.each([
    [{ num_beams: 4 }, 'num_beams'],
    [{ typical_p: 0.9 }, 'typical_p'],
    [{ guidance_scale: 1.5 }, 'guidance_scale'],
    [{ force_words_ids: [[1]] }, 'force_words_ids'],
  ])('is named where Firstlight does not have it: %o', (file, key) => {
    expect(noticesOf(file)).toEqual([
      `generation_config.json sets ${key} to ${JSON.stringify(Object.values(file)[0])}, which Firstlight does not have; it is left out.`,
    ]);
  });

  it.each([
    { num_beams: 1, num_beam_groups: 1, typical_p: 1, guidance_scale: null, force_words_ids: null, epsilon_cutoff: 0 },
    {
      bos_token_id: 1,
      eos_token_id: [2, 3],
      pad_token_id: 0,
      transformers_version: '4.41.2',
      _from_model_config: true,
    },
    { do_sample: true, temperature: 0.6, top_p: 0.9, top_k: 0, suppress_tokens: null, bad_words_ids: [] },
  ])('is not remarked upon where it changes nothing, or is taken as it stands: %o', (file) => {
    expect(noticesOf(file)).toEqual([]);
    expect(noticesOf(null, file)).toEqual([]);
  });
});

describe('end tokens', () => {
  const eos = (generation: unknown, config: unknown, tokenizerEosId: number | null): number[] => {
    const generationConfig = generation === undefined ? null : { eos_token_id: generation };
    return [...listEndTokens({ generationConfig, config: { eos_token_id: config }, tokenizerEosId }, 100)].sort();
  };

  it('are those that any of the files names, and that the model can give', () => {
    expect(eos([2, 3], 4, 7)).toEqual([2, 3, 4, 7]);
    expect(eos(undefined, 2, 7)).toEqual([2, 7]);
    expect(eos(2, [2, 5], null)).toEqual([2, 5]);
    expect(eos('</s>', null, 7)).toEqual([7]);
    expect(eos(100, -1, 1.5)).toEqual([]);
    const nested = {
      generationConfig: null,
      config: { text_config: { eos_token_id: [1, 106] } },
      tokenizerEosId: null,
    };
    expect([...listEndTokens(nested, 100)]).toEqual([1]);
  });

  const folder = sharedData('cases/yi-merge-eos-only-in-tokenizer/');
  it.skipIf(isAbsent(folder))('of a real merge', async () => {
    const transformers = await import('@huggingface/transformers');
    const { TextTokenizer } = await import('../../../src/pipeline/texts/text-tokenizer.ts');
    const read = (name: string) => JSON.parse(readFileSync(new URL(name, folder), 'utf8')) as JsonObject;
    const files = {
      tokenizer: read('tokenizer.json'),
      config: read('tokenizer_config.json'),
      chatTemplates: null,
    };
    const tokenizer = new TextTokenizer(transformers, files);
    const sources = { generationConfig: null, config: read('config.json'), tokenizerEosId: tokenizer.eosId };
    expect(tokenizer.decode([7], true)).toBe('<|im_end|>');
    expect([...listEndTokens(sources, 64_000)].sort()).toEqual([2, 7]);
  });
});
