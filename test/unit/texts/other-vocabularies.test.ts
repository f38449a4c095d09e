/**
 * Tokenizers that are no tokenizer.json: SentencePiece models, and vocab.json with merges.txt.
 * Expected values: sentencepiece itself, and transformers on the same files (test/reference, references.record_tokenizers).
 */
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import * as transformers from '@huggingface/transformers';
import { describe, expect, it } from 'vitest';
import type { TokenizerSource } from '../../../src/contract/plan.ts';
import { TextTokenizer } from '../../../src/pipeline/texts/text-tokenizer.ts';
import { readTexts } from '../../../src/pipeline/texts/read-texts.ts';
import { isAbsent, sharedData } from '../../shared-data.ts';
import { toSentencePieceModel } from './gguf-vocabulary.ts';
import type { Files } from './made-source.ts';
import { BASE, makeSource, readRecorded } from './made-source.ts';

type Texts = readonly [text: string, ids: readonly number[]][];

interface Recorded {
  readonly sentencePiece: readonly {
    readonly name: string;
    /** tokenizer.model, base64. */
    readonly model: string;
    readonly config: object;
    readonly texts: Texts;
    readonly sentencePiece: Texts;
  }[];
  readonly bytePairs: readonly {
    readonly name: string;
    readonly vocab: string;
    readonly merges: string;
    readonly config: object;
    readonly texts: Texts;
  }[];
}

const recorded = readRecorded('other-vocabularies.json') as Recorded;
const signal = new AbortController().signal;
const BOUND = 1000;

async function load(files: Files, source: TokenizerSource): Promise<TextTokenizer> {
  const { tokenizer } = await readTexts(makeSource(files), source, signal);
  return new TextTokenizer(transformers, tokenizer);
}

/** A text without ids is no prompt. */
const encodeAll = (tokenizer: TextTokenizer, texts: Texts): Texts =>
  texts.map(([text, ids]) => [text, ids.length === 0 ? [] : tokenizer.encodePrompt(text, BOUND)]);

const toFiles = (model: string, config: object): Files => ({
  'tokenizer.model': Buffer.from(model, 'base64'),
  'tokenizer_config.json': JSON.stringify(config),
});

describe('a SentencePiece model', () => {
  it.each(recorded.sentencePiece)('$name: ids as transformers has them', async ({ model, config, texts }) => {
    const tokenizer = await load(toFiles(model, config), 'tokenizer.model');
    expect(encodeAll(tokenizer, texts)).toEqual(texts);
  });

  it.each(recorded.sentencePiece.filter(({ name }) => !name.includes('added')))(
    '$name: ids as sentencepiece has them',
    async ({ model, config, sentencePiece }) => {
      const plain = { ...config, add_bos_token: false, add_eos_token: false };
      const tokenizer = await load(toFiles(model, plain), 'tokenizer.model');
      expect(encodeAll(tokenizer, sentencePiece)).toEqual(sentencePiece);
    },
  );

  it('text comes back from its ids', async () => {
    for (const { model, config, sentencePiece } of recorded.sentencePiece) {
      if ('legacy' in config) continue; // a prefix for every stretch of text
      const tokenizer = await load(toFiles(model, config), 'tokenizer.model');
      const text = 'the cat, 12 cats';
      const ids = sentencePiece.length > 0 ? tokenizer.encodePrompt(text, BOUND) : [];
      expect(tokenizer.decode(ids)).toContain('the cat');
    }
  });

  const llama = recorded.sentencePiece[0]?.model ?? '';
  it.each<[string, Files, string]>([
    ['that is a list of byte pairs', { 'tokenizer.model': 'IQ== 0\nIg== 1\n' }, 'tokenizer_invalid'],
    ['that is cut off', { 'tokenizer.model': Buffer.from(llama, 'base64').subarray(0, 1000) }, 'tokenizer_invalid'],
    ['that is empty', { 'tokenizer.model': '' }, 'tokenizer_invalid'],
    ['of a class with rules of its own', toFiles(llama, { tokenizer_class: 'XLMRobertaTokenizer' }), 'tokenizer_unsupported'], // prettier-ignore
  ])('%s: %#', async (_, files, code) => {
    await expect(load(files, 'tokenizer.model')).rejects.toMatchObject({ code });
  });
});

const LLAMA = sharedData('gguf-vocabularies/llama-spm.gguf');

it.skipIf(isAbsent(LLAMA))('the real vocabulary of Llama: tricky texts as llama.cpp has them', async () => {
  const lines = (ending: string, separator: string): string[] =>
    readFileSync(`${fileURLToPath(LLAMA)}.${ending}`, 'utf8').split(separator);
  const texts = lines('inp', '\n__ggml_vocab_test__\n');
  const ids = lines('out', '\n').map((line) => (line.match(/\d+/gu) ?? []).map(Number));
  const model = toSentencePieceModel(readFileSync(LLAMA));
  const tokenizer = await load({ 'tokenizer.model': model }, 'tokenizer.model');
  const cases = texts.flatMap((text, index) => {
    const expected = ids[index] ?? [];
    return expected.length === 0 ? [] : [[text, expected] as const];
  });
  expect(cases.length).toBeGreaterThan(40);
  expect(cases.map(([text]) => [text, tokenizer.encodePrompt(text, 32_000)])).toEqual(cases);
});

describe('vocab.json and merges.txt', () => {
  const toPairs = (vocab: string, merges: string, config: object): Files => ({
    'vocab.json': vocab,
    'merges.txt': merges,
    'tokenizer_config.json': JSON.stringify(config),
  });

  it.each(recorded.bytePairs)(
    'of $name: ids as transformers has them',
    async ({ name, vocab, merges, config, texts }) => {
      for (const className of [name, `${name}Fast`]) {
        const files = toPairs(vocab, merges.replaceAll('\n', '\r\n'), { ...config, tokenizer_class: className });
        expect(encodeAll(await load(files, 'vocab.json'), texts)).toEqual(texts);
      }
    },
  );

  it.each([['CLIPTokenizer'], [undefined], ['PreTrainedTokenizerFast']])('of class %s: refused', async (name) => {
    const files = toPairs('{}', '', { tokenizer_class: name });
    await expect(load(files, 'vocab.json')).rejects.toMatchObject({ code: 'tokenizer_unsupported' });
  });

  it('with a line that is no pair: tokenizer_invalid', async () => {
    const files = toPairs('{}', 'a b\nc\n', { tokenizer_class: 'GPT2Tokenizer' });
    await expect(load(files, 'vocab.json')).rejects.toMatchObject({ code: 'tokenizer_invalid' });
  });
});

it('tokenizer.json is taken where there are others, too', async () => {
  const tokenizer = await load({ ...BASE, 'tokenizer.model': 'x' }, 'tokenizer.json');
  expect(tokenizer.available).toBe(true);
});
