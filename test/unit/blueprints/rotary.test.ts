/**
 * Rotary tables against transformers' own (golden/rotary.json: LlamaRotaryEmbedding's inv_freq, cos and sin), and both
 * forms of the config.
 */
import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { computeFrequencies, computeRotary, readRotary } from '../../../src/blueprints/rotary/rotary.ts';
import type { RotaryScaling } from '../../../src/contract/decoder-spec.ts';
import { maxDifference } from './support/run-graph.ts';

interface Golden {
  readonly cases: readonly {
    readonly name: string;
    readonly theta: number;
    readonly headDim: number;
    readonly scaling: RotaryScaling;
    readonly frequencies: readonly number[];
    readonly positions: readonly number[];
    readonly cos: readonly (readonly number[])[];
    readonly sin: readonly (readonly number[])[];
  }[];
}

const golden = JSON.parse(readFileSync(new URL('golden/rotary.json', import.meta.url), 'utf8')) as Golden;

describe('computeRotary', () => {
  test.each(golden.cases)('equals transformers: $name', ({ theta, headDim, scaling, ...expected }) => {
    const shape = { theta, scaling, headDim, paddedHeadDim: headDim };
    const frequencies = computeFrequencies(shape);
    frequencies.forEach((value, index) => {
      expect(Math.abs(value / (expected.frequencies[index] ?? NaN) - 1)).toBeLessThan(3e-7);
    });
    const { cos, sin } = computeRotary(shape, 4096);
    expect([cos.length, sin.length]).toEqual([(4096 * headDim) / 2, (4096 * headDim) / 2]);
    expected.positions.forEach((position, row) => {
      const slice = (table: Float32Array) => table.subarray((position * headDim) / 2, ((position + 1) * headDim) / 2);
      // One unit in the last place of a frequency is worth position × 6e-8 rad.
      const tolerance = 1e-6 + position * 1.2e-7;
      expect(maxDifference(slice(cos), Float32Array.from(expected.cos[row] ?? []))).toBeLessThan(tolerance);
      expect(maxDifference(slice(sin), Float32Array.from(expected.sin[row] ?? []))).toBeLessThan(tolerance);
    });
  });
});

interface ConfigCase {
  readonly name: string;
  readonly config: Readonly<Record<string, unknown>> & { readonly max_position_embeddings: number };
  readonly expected: { readonly frequencies: readonly number[]; readonly attentionFactor: number } | null;
}

const spellings = JSON.parse(
  readFileSync(new URL('golden/rotary-configs.json', import.meta.url), 'utf8'),
) as readonly ConfigCase[];

/** Kinds of scaling that our tables do not have: the beginnings of their cases' names. */
const REFUSED = [
  'yarn, factor 4',
  'yarn, factor 1, attention_factor 1.2',
  'yarn, factor null, length stretched',
  'longrope',
  'proportional',
  'a type that nobody knows',
];
const isRefused = ({ name }: ConfigCase): boolean => REFUSED.some((start) => name.startsWith(start));

describe('computeRotary of padded heads', () => {
  test('turns the pairs that the checkpoint has, and leaves those that pad', () => {
    const rotary = { theta: 10_000, scaling: { type: 'none' } } as const;
    const plain = computeRotary({ ...rotary, headDim: 6, paddedHeadDim: 6 }, 20);
    const padded = computeRotary({ ...rotary, headDim: 6, paddedHeadDim: 16 }, 20);
    for (let position = 0; position < 20; position++) {
      const own = [position * 3, (position + 1) * 3] as const;
      const start = position * 8;
      expect(padded.cos.subarray(start, start + 3)).toEqual(plain.cos.subarray(...own));
      expect(padded.sin.subarray(start, start + 3)).toEqual(plain.sin.subarray(...own));
      expect([...padded.cos.subarray(start + 3, start + 8)]).toEqual([1, 1, 1, 1, 1]);
      expect([...padded.sin.subarray(start + 3, start + 8)]).toEqual([0, 0, 0, 0, 0]);
    }
  });
});

describe('the rotary fields in each spelling (golden/rotary-configs.json: made by test/reference, rotary_configs)', () => {
  test.each(spellings.filter((one) => !isRefused(one)))(
    'gives the frequencies that transformers takes within max_position_embeddings: $name',
    ({ config, expected }) => {
      const rotary = readRotary(config, config.max_position_embeddings);
      const frequencies = computeFrequencies({ ...rotary, headDim: 32 });
      expect(expected?.attentionFactor).toBe(1);
      expect(frequencies.length).toBe(expected?.frequencies.length);
      frequencies.forEach((value, index) => {
        expect(Math.abs(value / (expected?.frequencies[index] ?? NaN) - 1)).toBeLessThan(3e-7);
      });
    },
  );

  test.each(spellings.filter(isRefused))('refuses, by its name, what it cannot compute: $name', ({ config }) => {
    const { rope_type, type } = config['rope_scaling'] as Record<string, string>;
    expect(() => readRotary(config, config.max_position_embeddings)).toThrow(
      expect.objectContaining({
        code: 'unsupported_architecture',
        message: expect.stringContaining(rope_type ?? type ?? '') as unknown,
      }),
    );
  });
});

describe('readRotary', () => {
  const llama3 = { factor: 8, low_freq_factor: 1, high_freq_factor: 4, original_max_position_embeddings: 8192 };

  test('reads the form of transformers 4', () => {
    expect(readRotary({}, 2048)).toEqual({ theta: 10_000, scaling: { type: 'none' } });
    expect(readRotary({ rope_theta: 5e5, rope_scaling: null }, 2048)).toEqual({
      theta: 5e5,
      scaling: { type: 'none' },
    });
    expect(readRotary({ rope_scaling: { type: 'linear', factor: 2 } }, 2048).scaling).toEqual({
      type: 'linear',
      factor: 2,
    });
  });

  test('reads the form of transformers 5 to the same shape', () => {
    const old = readRotary({ rope_theta: 5e5, rope_scaling: { rope_type: 'llama3', ...llama3 } }, 131_072);
    expect(readRotary({ rope_parameters: { rope_theta: 5e5, rope_type: 'llama3', ...llama3 } }, 131_072)).toEqual(old);
    expect(old.scaling).toEqual({
      type: 'llama3',
      factor: 8,
      lowFreqFactor: 1,
      highFreqFactor: 4,
      originalContextTokens: 8192,
    });
  });

  test.each([
    ['unsupported_architecture', 'rope_scaling', { rope_scaling: { rope_type: 'yarn', factor: 4 } }],
    ['unsupported_architecture', 'rope_scaling.rope_type', { rope_scaling: { type: 'longrope', factor: 4 } }],
    ['unsupported_architecture', 'rope_parameters', { rope_parameters: { full_attention: { rope_theta: 1 } } }],
    ['unsupported_architecture', 'partial_rotary_factor', { partial_rotary_factor: 0.5 }],
    ['unsupported_architecture', 'partial_rotary_factor', { rope_parameters: { partial_rotary_factor: 0.25 } }],
    ['config_invalid', 'rope_theta', { rope_theta: -1 }],
    ['config_invalid', 'rope_theta', { rope_parameters: { rope_theta: 'big' } }],
    ['config_invalid', 'rope_scaling', { rope_scaling: 'linear' }],
    ['config_invalid', 'factor', { rope_scaling: { type: 'linear' } }],
    ['config_invalid', 'high_freq_factor', { rope_scaling: { rope_type: 'llama3', ...llama3, high_freq_factor: 1 } }],
  ])('refuses with %s, naming %s', (code, field, config) => {
    expect(() => readRotary(config, 2048)).toThrow(
      expect.objectContaining({ code, detail: expect.objectContaining({ field }) as unknown }),
    );
  });
});
