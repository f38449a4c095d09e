/**
 * Tokens that stand outside tokenizer.json get the ids and flags that transformers gives them.
 * Expected values: transformers' AutoTokenizer on the same files (test/reference, references.record_tokenizers).
 */
import { describe, expect, it } from 'vitest';
import { completeTokenizer } from '../../../src/formats/tokenizer/added-tokens.ts';
import type { JsonObject } from '../../../src/formats/tokenizer/json-object.ts';
import { readTexts } from '../../../src/pipeline/texts/read-texts.ts';
import type { Files } from './made-source.ts';
import { BASE, loadTokenizer, makeSource, readRecorded } from './made-source.ts';

type Flags = [content: string, special: boolean, lstrip: boolean, rstrip: boolean, normalized: boolean, word: boolean];

interface Recorded {
  readonly cases: readonly {
    readonly name: string;
    readonly files: Files;
    readonly added: Readonly<Record<string, Flags>>;
    readonly special: Readonly<Record<string, string>>;
    readonly texts: readonly [text: string, ids: readonly number[]][];
  }[];
}

const { cases } = readRecorded('added-tokens.json') as Recorded;
const signal = new AbortController().signal;

describe('added tokens, as transformers has them', () => {
  it.each(cases)('$name: ids and flags', async ({ files, added, special }) => {
    const { tokenizer } = await readTexts(makeSource({ ...BASE, ...files }), 'tokenizer.json', signal);
    const list = tokenizer?.tokenizer['added_tokens'] as readonly JsonObject[];
    const flags = list.map((token) => [
      String(token['id']),
      ['content', 'special', 'lstrip', 'rstrip', 'normalized', 'single_word'].map((key) => token[key]),
    ]);
    expect(Object.fromEntries(flags)).toEqual(added);
    expect(tokenizer?.config).toMatchObject(special);
  });

  it.each(cases)('$name: ids of texts', async ({ files, texts }) => {
    const tokenizer = await loadTokenizer({ ...BASE, ...files });
    expect(texts.map(([text]) => [text, tokenizer.encodePrompt(text, 1000)])).toEqual(texts);
  });
});

describe('a tokenizer that is complete', () => {
  const tokenizer = { added_tokens: [], model: { type: 'Unigram', vocab: [['<unk>', 0], ['a', -1]] } }; // prettier-ignore
  const none = { config: null, specialTokensMap: null, addedTokens: null };

  it('finds a token in a vocabulary that is a list, and counts on from its end', () => {
    const { tokenizer: complete } = completeTokenizer({ ...none, tokenizer, addedTokens: { a: 7, b: 9 } });
    expect(complete['added_tokens']).toMatchObject([
      { id: 1, content: 'a' },
      { id: 2, content: 'b' },
    ]);
  });

  it.each<[string, JsonObject | null, JsonObject | null]>([
    ['added_tokens_decoder["5"]', { added_tokens_decoder: { 5: { special: true } } }, null],
    ['added_tokens_decoder', { added_tokens_decoder: [] }, null],
    ['eos_token', { eos_token: 5 }, null],
    ['<a>', null, { '<a>': 'x' }],
  ])('names what is no token: %s', (where, config, addedTokens) => {
    expect(() => completeTokenizer({ ...none, tokenizer, config, addedTokens })).toThrow(where);
  });
});
