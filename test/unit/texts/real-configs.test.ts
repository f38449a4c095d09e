/**
 * Tokens and templates of real repositories, as their small files have them, around a small made tokenizer.
 * Expected values: transformers on the same files, as digests (references.record_tokenizers --configs).
 */
import { createHash } from 'node:crypto';
import { existsSync, readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import type { JsonObject } from '../../../src/formats/tokenizer/json-object.ts';
import { readTexts } from '../../../src/pipeline/texts/read-texts.ts';
import type { Files } from './made-source.ts';
import { BASE, makeSource, readRecorded } from './made-source.ts';

interface Recorded {
  readonly cases: readonly {
    readonly name: string;
    readonly added?: string;
    readonly special?: string;
    readonly template?: string;
    /** Python's own words, where it makes no tokenizer of these files. */
    readonly refused?: string;
  }[];
}

const ROOT = new URL('../../../../shared/data/real-configs/', import.meta.url);
const SMALL_FILES = [
  'tokenizer_config.json',
  'special_tokens_map.json',
  'added_tokens.json',
  'chat_template.jinja',
  'chat_template.json',
];
const FLAGS = ['id', 'content', 'special', 'lstrip', 'rstrip', 'normalized', 'single_word'];

const here = existsSync(ROOT);
if (!here) console.warn(`SKIPPED real tokenizer configs: ${ROOT.pathname} is not there`);
const { cases } = readRecorded('real-configs.json') as Recorded;
const signal = new AbortController().signal;

function readFiles(name: string): Files {
  const paths = SMALL_FILES.filter((path) => existsSync(new URL(`${name}/${path}`, ROOT)));
  return {
    ...BASE,
    ...Object.fromEntries(paths.map((path) => [path, readFileSync(new URL(`${name}/${path}`, ROOT))])),
  };
}

function digest(value: unknown): string {
  return createHash('sha256').update(JSON.stringify(value)).digest('hex').slice(0, 16);
}

describe.skipIf(!here)('tokens and templates of real repositories', () => {
  it.each(cases.filter(({ refused }) => refused === undefined))('$name', async ({ name, ...expected }) => {
    const files = readFiles(name);
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
  });
});
