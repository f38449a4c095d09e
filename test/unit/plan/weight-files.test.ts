/**
 * Which files make the checkpoint: as transformers chooses (recorded by test/reference/references/weight_files.py), and what is
 * taken where it chooses nothing.
 */
import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { parseWeightsIndex } from '../../../src/formats/safetensors/weights-index.ts';
import { chooseWeightFiles } from '../../../src/formats/repository/weight-files.ts';
import { errorOf, LLAMA_CONFIG, listTensors, makeRepository, plan } from './made-repository.ts';

const { cases } = JSON.parse(
  readFileSync(new URL('../../fixtures/reference/weight-files.json', import.meta.url), 'utf8'),
) as {
  cases: readonly {
    readonly files: readonly string[];
    readonly index: string | null;
    readonly chosen: readonly string[];
  }[];
};

const listed = (paths: readonly string[]) => paths.map((path) => ({ path, sizeBytes: 1, hash: null, url: '' }));
const choose = (...paths: string[]) => chooseWeightFiles(listed(paths));
const chosenPaths = (...paths: string[]) => choose(...paths)?.files?.map(({ path }) => path);

describe("the checkpoint, as transformers' from_pretrained finds it", () => {
  it.each(cases)('$files → $chosen', ({ files, index, chosen }) => {
    const choice = chooseWeightFiles(listed(files));
    const paths =
      choice?.files?.map(({ path }) => path) ??
      parseWeightsIndex(new TextEncoder().encode(index ?? ''), choice?.index?.path ?? '').shards;
    expect(paths).toEqual(chosen);
  });
});

describe('a checkpoint that transformers would not find', () => {
  it.each([
    ['shards without an index', ['model-00002-of-00002.safetensors', 'model-00001-of-00002.safetensors']],
    [
      'shards under another name',
      ['pytorch_model-00001-of-00002.safetensors', 'pytorch_model-00002-of-00002.safetensors'],
    ],
    ['shards that are counted from zero', ['model-00000-of-00002.safetensors', 'model-00001-of-00002.safetensors']],
    ['a variant', ['model.fp16.safetensors', 'consolidated.safetensors']],
    ['the only other name', ['tiny-llama-merged.safetensors', 'adapter_model.safetensors', 'optimizer.safetensors']],
    [
      'a complete set beside an incomplete one',
      ['model-00001-of-00001.safetensors', 'model-00001-of-00003.safetensors'],
    ],
  ])('is taken where it is complete and nothing else could be meant: %s', (_, paths) => {
    const wanted = paths.filter((path) => !/consolidated|adapter|optimizer|of-00003/u.test(path)).sort();
    expect(chosenPaths(...paths, 'README.md', 'onnx/other.safetensors')).toEqual(wanted);
  });

  it('is not guessed among several', async () => {
    const files = { 'config.json': LLAMA_CONFIG, 'a.safetensors': 'x', 'b.safetensors': 'x' };
    const error = await errorOf(plan(makeRepository(new Map(), files)));
    expect([error.code, error.detail['candidates']]).toEqual(['no_safetensors', ['a.safetensors', 'b.safetensors']]);
  });

  it.each([
    [['model-00001-of-00003.safetensors'], ['model-00002-of-00003.safetensors', 'model-00003-of-00003.safetensors']],
    [['model-00002-of-00002.safetensors'], ['model-00001-of-00002.safetensors']],
  ])('file_not_found names the shards that are missing: %j', async (paths, missing) => {
    const files = { 'config.json': LLAMA_CONFIG, ...Object.fromEntries(paths.map((path) => [path, 'x'])) };
    const error = await errorOf(plan(makeRepository(new Map(), files)));
    expect([error.code, error.detail['files']]).toEqual(['file_not_found', missing]);
    for (const name of missing) expect(error.message).toContain(name);
  });

  it.each([[], ['consolidated.safetensors'], ['onnx/model.safetensors'], ['model-00001-of-20000.safetensors']])(
    'is none: %s',
    (...paths) => {
      expect(choose(...paths)).toBeNull();
    },
  );
});

describe('an index', () => {
  const tensors = [...listTensors(LLAMA_CONFIG)];
  const first = new Map(tensors.slice(0, 10));
  const second = new Map(tensors.slice(9)); // both have the tenth
  const [shared = ''] = tensors[9] ?? [];
  const [a, b] = ['model-00001-of-00002.safetensors', 'model-00002-of-00002.safetensors'];
  const makeIndex = (home: (name: string) => string) => ({
    weight_map: Object.fromEntries(tensors.map(([name]) => [name, home(name)])),
  });
  const shards = new Map([
    [a, first],
    [b, second],
  ]);
  const index = 'model.safetensors.index.json';

  it.each([a, b])('decides where a tensor lies that two shards hold: %s', async (home) => {
    const map = makeIndex((name) => (name === shared ? home : first.has(name) ? a : b));
    const { weights } = await plan(makeRepository(shards, { 'config.json': LLAMA_CONFIG, [index]: map }));
    const source = weights.flatMap(({ sources }) => sources).find(({ tensor }) => tensor === shared);
    expect(source?.file).toBe(home);
  });

  it('that is wrong about a tensor of one shard does no harm', async () => {
    const map = makeIndex((name) => (second.has(name) ? b : a));
    const moved = { weight_map: { ...map.weight_map, [tensors[0]?.[0] ?? '']: b } };
    const { weights } = await plan(makeRepository(shards, { 'config.json': LLAMA_CONFIG, [index]: moved }));
    const source = weights.flatMap(({ sources }) => sources).find(({ tensor }) => tensor === tensors[0]?.[0]);
    expect(source?.file).toBe(a);
  });

  it('is needed where two shards hold a tensor', async () => {
    const error = await errorOf(plan(makeRepository(shards, { 'config.json': LLAMA_CONFIG })));
    expect([error.code, error.detail['reason']]).toEqual(['safetensors_invalid', 'tensor_in_two_files']);
  });

  it('that names shards that are gone gives way to a complete set', async () => {
    const whole = new Map([['model-00001-of-00001.safetensors', new Map(tensors)]]);
    const map = makeIndex((name) => (second.has(name) ? b : a));
    const { weightFiles } = await plan(makeRepository(whole, { 'config.json': LLAMA_CONFIG, [index]: map }));
    expect(weightFiles.map(({ path }) => path)).toEqual(['model-00001-of-00001.safetensors']);
  });
});
