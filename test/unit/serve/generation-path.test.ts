import { describe, expect, it } from 'vitest';
import type { GenerateSettings } from '../../../src/pipeline/serve/generate-settings.ts';
import { chooseGenerationPath } from '../../../src/pipeline/serve/generation-path.ts';
import { MAX_FORBIDDEN_IDS } from '../../../src/runtime/decoder.ts';
import { plainSettings } from './plain-settings.ts';

const settings = (changes: Partial<GenerateSettings> = {}): GenerateSettings => ({
  ...plainSettings(20),
  eosIds: new Set([2]),
  ...changes,
});
const sampling = { temperature: 0.7, topK: 5, topP: 0.9, minP: 0 };
const ids = (count: number): number[] => Array.from({ length: count }, (_, id) => id);

describe('chooseGenerationPath', () => {
  it.each([
    settings(),
    settings({ repetitionPenalty: 1.2, stops: ['.'], seed: 3, sampling }),
    settings({ minNewTokens: 5 }),
    settings({ suppressedIds: ids(MAX_FORBIDDEN_IDS) }),
    settings({ beginSuppressedIds: [7] }),
  ])('takes the GPU where there is a token loop: %o', (given) => {
    expect(chooseGenerationPath(given, null).path).toBe('gpu');
  });

  it('takes transformers.js where there is none', () => {
    expect(chooseGenerationPath(settings(), 'it has none')).toEqual({ path: 'transformers', reason: 'it has none' });
  });

  it('takes as many end tokens to suppress as the kernels do', () => {
    const withEnds = (count: number) => settings({ minNewTokens: 5, eosIds: new Set(ids(count)) });
    expect(chooseGenerationPath(withEnds(MAX_FORBIDDEN_IDS), null).path).toBe('gpu');
    expect(chooseGenerationPath(withEnds(MAX_FORBIDDEN_IDS + 1), null).path).toBe('transformers');
    // Without min_new_tokens nothing is suppressed, however many there are.
    expect(chooseGenerationPath({ ...withEnds(40), minNewTokens: 0 }, null).path).toBe('gpu');
  });

  it.each([
    [{ noRepeatNgramSize: 3 }, 'no_repeat_ngram_size is set'],
    [{ badWordsIds: [[7]] }, 'bad_words_ids is set'],
    [{ forcedBosId: 0 }, 'forced_bos_token_id is set'],
    [{ forcedEosId: 0 }, 'forced_eos_token_id is set'],
    [{ sampling: { ...sampling, minP: 0.1 } }, 'min_p is set'],
    [{ suppressedIds: ids(90) }, '90 tokens are suppressed'],
    [{ suppressedIds: [1], minNewTokens: 4 }, 'tokens are suppressed for different numbers of steps'],
  ] as const)('leaves to transformers.js what the token loop has no means for: %o', (changes, reason) => {
    expect(chooseGenerationPath(settings(changes), null)).toEqual({ path: 'transformers', reason });
  });
});
