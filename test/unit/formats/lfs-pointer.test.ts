/**
 * Git LFS pointers, wherever a file of a repository is read. The texts are those of the specification's example
 * (https://github.com/git-lfs/git-lfs/blob/main/docs/spec.md).
 */
import { describe, expect, test } from 'vitest';
import { refuseLfsPointer } from '../../../src/formats/repository/lfs-pointer.ts';
import { LLAMA_CONFIG, makeRepository, makeSingle, plan, listTensors } from '../plan/made-repository.ts';

const POINTER = `version https://git-lfs.github.com/spec/v1
oid sha256:4d7a214614ab2935c943f9e0ff69d22eadbb8f32b1258daaa5e2ca24d17e2393
size 12345
`;
const bytesOf = (text: string): Uint8Array => new TextEncoder().encode(text);
const named = (path: string) =>
  expect.objectContaining({
    code: 'lfs_pointer',
    detail: {
      path,
      sha256: '4d7a214614ab2935c943f9e0ff69d22eadbb8f32b1258daaa5e2ca24d17e2393',
      sizeBytes: 12_345,
    },
  }) as unknown;

describe('a Git LFS pointer', () => {
  test.each([
    ['as Git wrote it', POINTER],
    ['with the line ends of Windows', POINTER.replaceAll('\n', '\r\n')],
    ['with an extension', POINTER.replace('oid', `ext-0-foo sha256:${'0'.repeat(64)}\noid`)],
  ])('%s is named with what it points to', (_how, text) => {
    expect(() => refuseLfsPointer(bytesOf(text), 'x')).toThrow(named('x'));
  });

  test.each(['', 'version 2', '{"version": "https://git-lfs.github.com/spec/v1"}', ` ${POINTER}`])(
    '%j is none',
    (text) => {
      expect(() => refuseLfsPointer(bytesOf(text), 'x')).not.toThrow();
    },
  );
});

describe('a plan of a clone without its large files', () => {
  const tensors = listTensors(LLAMA_CONFIG);
  const index = { weight_map: Object.fromEntries([...tensors.keys()].map((name) => [name, 'model-1.safetensors'])) };

  test.each([
    ['config.json', makeSingle({}, tensors, { 'config.json': POINTER })],
    ['generation_config.json', makeSingle(LLAMA_CONFIG, tensors, { 'generation_config.json': POINTER })],
    ['tokenizer.json', makeSingle(LLAMA_CONFIG, tensors, { 'tokenizer.json': POINTER })],
    [
      'tokenizer_config.json',
      makeSingle(LLAMA_CONFIG, tensors, { 'tokenizer.json': {}, 'tokenizer_config.json': POINTER }),
    ],
    [
      'chat_template.jinja',
      makeSingle(LLAMA_CONFIG, tensors, { 'tokenizer.json': {}, 'chat_template.jinja': POINTER }),
    ],
    ['model.safetensors', makeRepository(new Map(), { 'config.json': LLAMA_CONFIG, 'model.safetensors': POINTER })],
    [
      'model.safetensors.index.json',
      makeRepository(new Map(), { 'config.json': LLAMA_CONFIG, 'model.safetensors.index.json': POINTER }),
    ],
    [
      'model-1.safetensors',
      makeRepository(new Map(), {
        'config.json': LLAMA_CONFIG,
        'model.safetensors.index.json': index,
        'model-1.safetensors': POINTER,
      }),
    ],
  ])('names %s, with the remedy', async (file, repository) => {
    await expect(plan(repository)).rejects.toThrow(named(file));
    await expect(plan(repository)).rejects.toThrow(/git lfs pull/u);
  });
});
