import { describe, expect, it } from 'vitest';
import { isLoadError } from '../../../src/contract/errors.ts';
import { parseWeightsIndex } from '../../../src/formats/safetensors/weights-index.ts';

const FILE = 'model.safetensors.index.json';
const encode = (value: unknown): Uint8Array =>
  new TextEncoder().encode(typeof value === 'string' ? value : JSON.stringify(value));

describe('parseWeightsIndex', () => {
  it('lists shards once, sorted', () => {
    const index = parseWeightsIndex(
      encode({
        metadata: { total_size: 1 },
        weight_map: { a: 'm-2.safetensors', b: 'm-1.safetensors', c: 'm-2.safetensors' },
      }),
      FILE,
    );
    expect(index.shards).toEqual(['m-1.safetensors', 'm-2.safetensors']);
    expect(index.shardByTensor.get('c')).toBe('m-2.safetensors');
  });

  it.each<[string, unknown]>([
    ['index_not_json', '{'],
    ['index_invalid', 'null'],
    ['index_invalid', {}],
    ['index_invalid', { weight_map: ['a'] }],
    ['index_invalid', { weight_map: {} }],
    ['index_invalid', { weight_map: { a: 1 } }],
    ['index_duplicate_name', '{"weight_map":{"a":"x.safetensors","a":"y.safetensors"}}'],
    ...[
      '../x.safetensors',
      '/x.safetensors',
      'a//x.safetensors',
      './x.safetensors',
      'a\\x.safetensors',
      'x.bin',
      '',
    ].map((path): [string, unknown] => ['index_path', { weight_map: { a: path } }]),
  ])('%s: %j', (reason, value) => {
    try {
      parseWeightsIndex(encode(value), FILE);
    } catch (error) {
      if (!isLoadError(error)) throw error;
      expect(error.code).toBe('safetensors_invalid');
      expect(error.detail.reason).toBe(reason);
      return;
    }
    expect.unreachable();
  });
});
