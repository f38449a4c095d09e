/**
 * What the listings of real repositories say about their tokenizers.
 */
import { readdirSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { chooseTokenizer } from '../../../src/pipeline/plan/choose-tokenizer.ts';
import { isAbsent, sharedData } from '../../shared-data.ts';

const ROOT = sharedData('cases/');

const choose = (name: string, ...more: string[]): string => {
  const paths = [...readdirSync(new URL(name, ROOT)), ...more];
  const files = paths.map((path) => ({ path, sizeBytes: 1, hash: null, url: `https://example.test/${path}` }));
  try {
    return chooseTokenizer({ modelId: name, files }, 'auto').value ?? 'none';
  } catch (error) {
    return (error as { code: string }).code;
  }
};

describe.skipIf(isAbsent(ROOT))('the listing of a real repository', () => {
  it.each([
    // Its tekken.json has 15 MB, and is not at hand.
    ['no-tokenizer-json-tekken', ['tekken.json'], 'tokenizer_unsupported'],
    ['granite3b-code-clean-spaces', [], 'tokenizer.json'],
    ['yi-merge-eos-only-in-tokenizer', [], 'tokenizer.json'],
    ['lfs-pointers', [], 'tokenizer.json'],
    ['gguf-stub-config', [], 'none'],
    // Configs of a tokenizer, and no vocabulary.
    ['token-beyond-vocab', [], 'tokenizer_unsupported'],
    ['mlx-quantized-r1-distill', [], 'tokenizer_unsupported'],
    ['token-beyond-vocab', ['tokenizer.model'], 'tokenizer.model'],
  ])('%s with %j: %s', (name, more, expected) => {
    expect(choose(name, ...more)).toBe(expected);
  });
});
