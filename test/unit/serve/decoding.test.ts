/**
 * Ids → text against Hugging Face's tokenizers (test/fixtures/decoding): all at once, and in pieces.
 */
import { readFileSync } from 'node:fs';
import * as transformers from '@huggingface/transformers';
import { describe, expect, it } from 'vitest';
import { compileDecoder } from '../../../src/pipeline/texts/decode-steps.ts';
import { TextStream } from '../../../src/pipeline/serve/text-stream.ts';
import { TextTokenizer } from '../../../src/pipeline/texts/text-tokenizer.ts';
import type { IdDecoder } from '../../../src/pipeline/texts/token-decoder.ts';
import { isAbsent, sharedData } from '../../shared-data.ts';

interface Recorded {
  readonly records: readonly unknown[];
}

interface DecoderRecord {
  readonly decoder: { readonly type: string } | null;
  readonly cases: readonly { readonly tokens: readonly string[]; readonly text: string }[];
}

interface TextRecord {
  readonly ids: readonly number[];
  readonly hidden: string;
  readonly shown: string;
}

const ROOT = new URL('../../../', import.meta.url);
const DATA = sharedData('');

const readJson = (url: URL): unknown => JSON.parse(readFileSync(url, 'utf8'));
const readRecords = (name: string): readonly unknown[] =>
  (readJson(new URL(`test/fixtures/decoding/${name}.json`, ROOT)) as Recorded).records;

/** Folders of the tokenizers; the shared ones may be absent. */
const FOLDERS: Readonly<Record<string, URL>> = {
  storyteller: new URL('public/models/firstlight/storyteller-2m/', ROOT),
  'granite-code': new URL('cases/granite3b-code-clean-spaces/', DATA),
  'qwen2.5': new URL('qwen2.5-tokenizer/', DATA),
  yi: new URL('cases/yi-merge-eos-only-in-tokenizer/', DATA),
  tinystories: new URL('tinystories-656k/hf-bf16/', DATA),
  minilm: new URL('all-minilm-l6-v2-text/sentence-transformers-layout/', DATA),
};

function openTokenizer(folder: URL): TextTokenizer {
  const tokenizer = readJson(new URL('tokenizer.json', folder)) as Record<string, unknown>;
  // Whatever a repository says of it, nothing is cleaned up.
  const config = { clean_up_tokenization_spaces: true };
  return new TextTokenizer(transformers, { tokenizer, config, chatTemplates: null });
}

function joinPieces(decoder: IdDecoder, ids: readonly number[]): string {
  const pieces = ids.map((id) => decoder.push(id));
  for (const piece of pieces) expect(piece.isWellFormed()).toBe(true);
  return pieces.join('') + decoder.end();
}

describe('each kind of decoder gives the text of tokenizers, a token at a time', () => {
  it.each(
    (readRecords('steps') as readonly DecoderRecord[]).map(
      (record) => [JSON.stringify(record.decoder), record] as const,
    ),
  )('%s', (_name, { decoder, cases }) => {
    const begin = compileDecoder(decoder);
    for (const { tokens, text } of cases) {
      const joiner = begin();
      const joined = tokens.map((token) => joiner.push(token)).join('') + joiner.end();
      expect(joined, JSON.stringify(tokens)).toBe(text);
    }
  });

  it('refuses a kind that it does not know, with its name', () => {
    expect(() => compileDecoder({ type: 'Sequence', decoders: [{ type: 'Fuse' }, { type: 'Novel' }] })).toThrow(
      expect.objectContaining({ code: 'tokenizer_invalid', detail: { file: 'tokenizer.json', decoder: 'Novel' } }),
    );
  });
});

describe('real tokenizers give the text of tokenizers, whole and in pieces, special tokens hidden and shown', () => {
  for (const [name, folder] of Object.entries(FOLDERS)) {
    it.skipIf(isAbsent(folder))(name, () => {
      const tokenizer = openTokenizer(folder);
      const records = readRecords(name) as readonly TextRecord[];
      expect(records.length).toBeGreaterThan(40);
      for (const { ids, hidden, shown } of records) {
        expect(tokenizer.decode(ids)).toBe(hidden);
        expect(tokenizer.decode(ids, true)).toBe(shown);
        expect(joinPieces(tokenizer.openBehind([]).decoder, ids)).toBe(hidden);
        for (const cut of [1, Math.floor(ids.length / 2), ids.length - 1]) {
          expectAnswer(tokenizer, ids, cut, hidden);
        }
      }
    });
  }

  /** The first ids are a prompt: the answer is what the others add to its text. */
  function expectAnswer(tokenizer: TextTokenizer, ids: readonly number[], cut: number, whole: string): void {
    const prompt = ids.slice(0, cut);
    const stream = new TextStream(tokenizer.openBehind(prompt), []);
    const rest = ids.slice(cut).map((id) => stream.push(id, false));
    const answer = rest.join('') + stream.end();
    const before = tokenizer.decode(prompt);
    if (whole.startsWith(before)) expect(before + answer).toBe(whole);
    else expect(whole.endsWith(answer)).toBe(true); // the prompt ended in an open character
  }
});

describe('a long prompt', () => {
  const tokenizer = openTokenizer(FOLDERS['storyteller'] as URL);
  const encode = (text: string): number[] => tokenizer.encodePrompt(text, 1e6).slice(1);
  const answer = encode('Once upon a time');
  const special = tokenizer.encodePrompt('Once', 1e6).slice(0, 1);

  it.each([
    ['words', encode('Once upon a time there was a fox. '.repeat(20))],
    ['special tokens', Array<number[]>(100).fill(special).flat()],
    ['words, then special tokens', [...encode('a fox'), ...Array<number[]>(100).fill(special).flat()]],
    ['characters of many bytes', encode('🌟'.repeat(60))],
    ['half a character of many bytes', encode('🌟'.repeat(60)).slice(0, -2)],
  ])('of %s: the answer is what it adds to the whole text', (_what, prompt) => {
    const stream = new TextStream(tokenizer.openBehind(prompt), []);
    const text = answer.map((id) => stream.push(id, false)).join('') + stream.end();
    const whole = tokenizer.decode([...prompt, ...answer]);
    expect(tokenizer.decode(prompt) + text).toBe(whole);
  });
});

describe('ids without text', () => {
  const tokenizer = openTokenizer(FOLDERS['storyteller'] as URL);
  const [word = -1] = tokenizer.encodePrompt('Once', 1e6).slice(-1);

  it('those beyond the vocabulary are skipped, as tokenizers does', () => {
    expect(tokenizer.decode([word, 999_999, word])).toBe(tokenizer.decode([word, word]));
    expect(tokenizer.decode([999_999])).toBe('');
    expect(joinPieces(tokenizer.openBehind([]).decoder, [999_999, word])).toBe(tokenizer.decode([word]));
  });

  it.each([-1, 1.5, NaN])('%d is refused', (id) => {
    expect(() => tokenizer.decode([word, id])).toThrow(expect.objectContaining({ code: 'invalid_argument' }));
  });

  it('a token of the tokenizer that the model does not have is refused in a prompt, by name', () => {
    expect(() => tokenizer.encodePrompt('Once', word)).toThrow(
      expect.objectContaining({ code: 'invalid_argument', message: expect.stringContaining('"') as string }),
    );
  });
});
