/**
 * Tokens and templates of real repositories; where their tokenizer.json is not at hand, around a small made tokenizer.
 * Expected values: transformers on the same files, as digests (references.record_tokenizers --configs).
 */
import { createHash } from 'node:crypto';
import { existsSync, readFileSync } from 'node:fs';
import * as transformers from '@huggingface/transformers';
import { describe, expect, it } from 'vitest';
import type { JsonObject } from '../../../src/formats/tokenizer/json-object.ts';
import { readTexts } from '../../../src/pipeline/texts/read-texts.ts';
import { TextTokenizer } from '../../../src/pipeline/texts/text-tokenizer.ts';
import { isAbsent, sharedData } from '../../shared-data.ts';
import type { Files } from './made-source.ts';
import { BASE, makeSource, readRecorded } from './made-source.ts';

interface Recorded {
  readonly cases: readonly {
    readonly name: string;
    readonly added?: string;
    readonly special?: string;
    readonly template?: string;
    /** Of a repository that is here with its own tokenizer.json: ids of texts. */
    readonly texts?: readonly [text: string, ids: readonly number[]][];
    /** Python's own words, where it makes no tokenizer of these files. */
    readonly refused?: string;
  }[];
}

const ROOT = sharedData('');
const SMALL_FILES = [
  'tokenizer_config.json',
  'special_tokens_map.json',
  'added_tokens.json',
  'chat_template.jinja',
  'chat_template.json',
];
const FLAGS = ['id', 'content', 'special', 'lstrip', 'rstrip', 'normalized', 'single_word'];

const { cases } = readRecorded('real-configs.json') as Recorded;
const signal = new AbortController().signal;

function readFiles(name: string, names: readonly string[]): Files {
  const paths = names.filter((path) => existsSync(new URL(`${name}/${path}`, ROOT)));
  return Object.fromEntries(paths.map((path) => [path, readFileSync(new URL(`${name}/${path}`, ROOT))]));
}

function digest(value: unknown): string {
  return createHash('sha256').update(JSON.stringify(value)).digest('hex').slice(0, 16);
}

describe.skipIf(isAbsent(ROOT))('tokens and templates of real repositories', () => {
  it.each(cases.filter(({ refused }) => refused === undefined))('$name', async ({ name, texts, ...expected }) => {
    const files = { ...BASE, ...readFiles(name, texts ? ['tokenizer.json', ...SMALL_FILES] : SMALL_FILES) };
    const { tokenizer } = await readTexts(makeSource(files), 'tokenizer.json', signal);
    const config = tokenizer?.config ?? {};
    const added = tokenizer?.tokenizer['added_tokens'] as readonly JsonObject[];
    const special = Object.entries(config).filter(([key, value]) => /_token$/u.test(key) && typeof value === 'string');
    const own = 'chat_template.json' in files && expected.template === digest(null);
    expect({
      added: digest(added.map((token) => FLAGS.map((flag) => token[flag]))),
      special: digest(special.sort(([a], [b]) => (a < b ? -1 : 1))),
      template: own ? digest(null) : digest(tokenizer?.chatTemplates),
    }).toEqual(expected);
    if (!texts) return;
    const encoder = new TextTokenizer(transformers, tokenizer);
    // A text without ids is no prompt.
    expect(texts.map(([text, ids]) => [text, ids.length === 0 ? [] : encoder.encodePrompt(text, 2 ** 20)])).toEqual(
      texts,
    );
  });
});
