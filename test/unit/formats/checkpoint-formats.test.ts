/**
 * The list of formats, and what the one that is there yields: tensors that name no format but in the words for messages.
 */
import { describe, expect, it } from 'vitest';
import type { CheckpointReader } from '../../../src/formats/checkpoint-format.ts';
import { findFormat } from '../../../src/formats/checkpoint-formats.ts';
import { concat, writeSafetensors } from './write-safetensors.ts';

const CONTENTS = new Map([
  [
    'model.safetensors',
    writeSafetensors([
      { name: 'half', dtype: 'F16', shape: [1, 3], data: Uint8Array.of(1, 2, 3, 4, 5, 6) },
      { name: 'mask', dtype: 'BOOL', shape: [2], data: Uint8Array.of(7, 8) },
      { name: 'brain', dtype: 'BF16', shape: [], data: Uint8Array.of(9, 10) },
      { name: 'full', dtype: 'F32', shape: [1], data: Uint8Array.of(11, 12, 13, 14) },
    ]),
  ],
  ['README.md', new Uint8Array(3)],
]);

const listFiles = (...paths: string[]) =>
  paths.map((path) => ({ path, sizeBytes: CONTENTS.get(path)?.length ?? 1, hash: null, url: '' }));
const readRange = async (path: string, start: number, end: number): Promise<Uint8Array> =>
  CONTENTS.get(path)?.slice(start, end) ?? new Uint8Array();

describe('checkpoint formats', () => {
  it('yield each tensor with its codec, its shape and where its bytes are', async () => {
    const files = listFiles('README.md', 'model.safetensors');
    const reader: CheckpointReader = {
      snapshot: { files, source: 'hub' },
      readAll: async (path) => CONTENTS.get(path) ?? new Uint8Array(),
      readRange,
    };
    const checkpoint = await findFormat(files)?.open(reader);
    const tensors = [...(checkpoint?.tensors.values() ?? [])];
    expect(tensors.map(({ name, codec, storedAs, shape }) => [name, codec, storedAs, shape])).toEqual([
      ['half', 'f16', 'F16', [1, 3]],
      ['mask', null, 'BOOL', [2]],
      ['brain', 'bf16', 'BF16', []],
      ['full', 'f32', 'F32', [1]],
    ]);
    const contents = tensors.map(async ({ ranges }) =>
      concat(await Promise.all(ranges.map(({ file, start, end }) => readRange(file, start, end)))),
    );
    expect((await Promise.all(contents)).map((bytes) => [...bytes])).toEqual([
      [1, 2, 3, 4, 5, 6],
      [7, 8],
      [9, 10],
      [11, 12, 13, 14],
    ]);
  });

  it('are none for files that hold no checkpoint, or one that is not read', () => {
    expect(findFormat(listFiles())).toBeNull();
    expect(findFormat(listFiles('config.json', 'model-Q4_K_M.gguf', 'pytorch_model.bin'))).toBeNull();
  });

  it('name the files that say which weights there are', () => {
    const indexed = listFiles('model.safetensors.index.json', 'model-00001-of-00001.safetensors');
    expect(findFormat(indexed)?.listIndexFiles(indexed)).toEqual([indexed[0]]);
    const single = listFiles('model.safetensors', 'model.safetensors.index.json');
    expect(findFormat(single)?.listIndexFiles(single)).toEqual([]);
  });
});
