import { describe, expect, it } from 'vitest';
import { chooseGenerationPath } from '../../../src/pipeline/serve/generation-path.ts';
import { MAX_FORBIDDEN_IDS } from '../../../src/runtime/decoder.ts';

const plain = { minNewTokens: 0, eosIds: new Set([2]) };

describe('chooseGenerationPath', () => {
  it('takes the GPU where there is a token loop', () => {
    expect(chooseGenerationPath(plain, { model_type: 'llama', eos_token_id: 2 }, null).path).toBe('gpu');
  });

  it('takes transformers.js where there is none', () => {
    expect(chooseGenerationPath(plain, {}, 'it has none')).toEqual({ path: 'transformers', reason: 'it has none' });
  });

  it('takes as many end tokens to suppress as the kernels do', () => {
    const ends = (count: number) => new Set(Array.from({ length: count }, (_, id) => id));
    const withEnds = (count: number) => ({ minNewTokens: 5, eosIds: ends(count) });
    expect(chooseGenerationPath(withEnds(MAX_FORBIDDEN_IDS), {}, null).path).toBe('gpu');
    expect(chooseGenerationPath(withEnds(MAX_FORBIDDEN_IDS + 1), {}, null).path).toBe('transformers');
    // Without min_new_tokens nothing is suppressed, however many there are.
    expect(chooseGenerationPath({ ...withEnds(40), minNewTokens: 0 }, {}, null).path).toBe('gpu');
  });

  it.each([
    { no_repeat_ngram_size: 3 },
    { num_beams: 4 },
    { min_length: 10 },
    { guidance_scale: 1.5 },
    { bad_words_ids: [[7]] },
    { suppress_tokens: [1, 2] },
    { forced_bos_token_id: 0 },
    { text_config: { no_repeat_ngram_size: 2 } },
  ])('leaves to transformers.js what it reads from config.json: %o', (config) => {
    const [key = ''] = Object.keys(config.text_config ?? config);
    expect(chooseGenerationPath(plain, config, null)).toEqual({
      path: 'transformers',
      reason: `config.json sets ${key}`,
    });
  });

  it.each([
    { no_repeat_ngram_size: 0, num_beams: 1, min_length: 0, guidance_scale: 1 },
    { bad_words_ids: null, suppress_tokens: [], forced_eos_token_id: null, text_config: null },
    { temperature: 0.7, top_k: 5, top_p: 0.9, do_sample: true, repetition_penalty: 1.2, max_length: 20 },
  ])('does not mind values that change no token, or that the call decides: %o', (config) => {
    expect(chooseGenerationPath(plain, config, null).path).toBe('gpu');
  });
});
