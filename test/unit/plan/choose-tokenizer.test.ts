/**
 * What becomes the tokenizer is known from the names of the files.
 */
import { describe, expect, it } from 'vitest';
import { chooseTokenizer } from '../../../src/pipeline/plan/choose-tokenizer.ts';
import { listTextFiles } from '../../../src/formats/repository/text-files.ts';
import { errorOf, listTensors, LLAMA_CONFIG, makeSingle, plan } from './made-repository.ts';

const listing = (...paths: string[]): Parameters<typeof chooseTokenizer>[0] => ({
  modelId: 'acme/tiny',
  files: paths.map((path) => ({ path, sizeBytes: 1, hash: null, url: `https://example.test/${path}` })),
});
const MODEL = ['config.json', 'model.safetensors'];

describe('a repository without a tokenizer that can be read', () => {
  it.each([
    ['tekken.json'],
    ['tiktoken.model'],
    ['qwen.tiktoken'],
    ['tokenizer.model.v3'],
    ['vocab.txt'],
    ['spiece.model'],
    ['vocab.json'],
    ['merges.txt'],
    ['tokenizer_config.json'],
  ])('is refused by its listing where it has %s, and the file is named', (path) => {
    const files = listing(...MODEL, path);
    expect(() => chooseTokenizer(files, 'auto')).toThrow(path);
    expect(() => chooseTokenizer(files, 'auto')).toThrow(expect.objectContaining({ code: 'tokenizer_unsupported' }));
    expect(chooseTokenizer(files, 'none').value).toBeNull();
  });

  it('gives a model that takes ids only where it has no file of one', () => {
    expect(chooseTokenizer(listing(...MODEL, 'README.md', 'sub/tokenizer.json'), 'auto')).toEqual({
      value: null,
      reason: expect.stringContaining('no tokenizer') as string,
    });
  });
});

describe('a repository with several tokenizers', () => {
  it.each<[string[], string]>([
    [['tokenizer.model', 'tokenizer.json', 'vocab.json', 'merges.txt'], 'tokenizer.json'],
    [['vocab.json', 'merges.txt', 'tokenizer.model'], 'tokenizer.model'],
    [['merges.txt', 'tekken.json', 'vocab.json'], 'vocab.json'],
  ])('%j: %s', (paths, expected) => {
    expect(chooseTokenizer(listing(...MODEL, ...paths), 'auto').value).toBe(expected);
  });
});

describe('a plan', () => {
  const tensors = listTensors(LLAMA_CONFIG);
  const request = { dtype: 'auto', device: 'auto', contextTokens: null } as const;

  it('says what the tokenizer is made from, and why', async () => {
    const made = await plan(makeSingle(LLAMA_CONFIG, tensors, { 'tokenizer.json': {} }));
    expect([made.tokenizer, made.tokenizerReason]).toEqual(['tokenizer.json', 'The repository has tokenizer.json.']);
  });

  it('ends with tokenizer_unsupported, unless no tokenizer is asked for', async () => {
    const repository = makeSingle(LLAMA_CONFIG, tensors, { 'tekken.json': {} });
    const error = await errorOf(plan(repository));
    expect(error).toMatchObject({ code: 'tokenizer_unsupported', detail: { files: ['tekken.json'] } });
    expect((await plan(repository, { request: { ...request, tokenizer: 'none' } })).tokenizer).toBeNull();
  });
});

describe('the files of a tokenizer', () => {
  const all = listing(...MODEL, 'tokenizer.json', 'tokenizer_config.json', 'chat_template.jinja', 'added_tokens.json', 'additional_chat_templates/tool_use.jinja', 'additional_chat_templates/a/b.jinja'); // prettier-ignore

  it('are part of a load, additional templates included', () => {
    const tokenizer = chooseTokenizer(all, 'auto').value;
    expect(tokenizer).toBe('tokenizer.json');
    expect(listTextFiles(all, { tokenizer })).toEqual(['config.json', 'tokenizer.json', 'tokenizer_config.json', 'chat_template.jinja', 'added_tokens.json', 'additional_chat_templates/tool_use.jinja']); // prettier-ignore
  });

  it('are none of it where no tokenizer is asked for', () => {
    const tokenizer = chooseTokenizer(all, 'none').value;
    expect(listTextFiles(all, { tokenizer })).toEqual(['config.json']);
  });
});
