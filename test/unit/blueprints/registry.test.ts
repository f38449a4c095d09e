/**
 * config.json → DecoderShape: real configs, defaults, and everything that is refused.
 */
import { flatten } from './support/flat-spec.ts';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { findBlueprint, supportedModelTypes } from '../../../src/blueprints/registry.ts';
import { isLoadError } from '../../../src/contract/errors.ts';

const BASE = {
  hidden_size: 64,
  intermediate_size: 176,
  num_hidden_layers: 2,
  num_attention_heads: 4,
  num_key_value_heads: 2,
  vocab_size: 301,
};
const read = (config: Readonly<Record<string, unknown>>) => findBlueprint(config).readSpec(config);
const readFlat = (config: Readonly<Record<string, unknown>>) => flatten(read(config));

describe('findBlueprint', () => {
  test('knows its families', () => {
    expect(supportedModelTypes()).toEqual(['llama', 'mistral', 'qwen2', 'qwen3']);
  });

  test('lists what is supported where a family is not', () => {
    const find = () => findBlueprint({ model_type: 'mamba', architectures: ['MambaForCausalLM'] });
    expect(find).toThrow(/"mamba"; supported are llama, mistral, qwen2, qwen3/);
    expect(find).toThrow(
      expect.objectContaining({
        code: 'unsupported_architecture',
        detail: {
          modelType: 'mamba',
          architectures: ['MambaForCausalLM'],
          supported: ['llama', 'mistral', 'qwen2', 'qwen3'],
        },
      }),
    );
  });

  test.each([{}, { model_type: '' }, { model_type: 7 }])('refuses %j', (config) => {
    expect(() => findBlueprint(config)).toThrow(expect.objectContaining({ code: 'config_invalid' }));
  });
});

describe('readShape', () => {
  test('Qwen2.5-0.5B-Instruct', () => {
    const config = {
      model_type: 'qwen2',
      hidden_act: 'silu',
      hidden_size: 896,
      intermediate_size: 4864,
      max_position_embeddings: 32768,
      max_window_layers: 21,
      num_attention_heads: 14,
      num_hidden_layers: 24,
      num_key_value_heads: 2,
      rms_norm_eps: 1e-6,
      rope_scaling: null,
      rope_theta: 1e6,
      sliding_window: 32768,
      tie_word_embeddings: true,
      use_sliding_window: false,
      vocab_size: 151936,
    };
    expect(readFlat(config)).toEqual({
      modelType: 'qwen2',
      vocabSize: 151936,
      hiddenSize: 896,
      intermediateSize: 4864,
      layerCount: 24,
      headCount: 14,
      kvHeadCount: 2,
      headDim: 64,
      paddedHeadDim: 64,
      rmsNormEpsilon: 1e-6,
      tiedEmbeddings: true,
      qkvBias: true,
      attentionOutputBias: false,
      mlpBias: false,
      hasQueryKeyNorm: false,
      rotary: { theta: 1e6, scaling: { type: 'none' } },
      maxContextTokens: 32768,
    });
  });

  test("takes transformers' defaults for what a config leaves out", () => {
    const llama = readFlat({ ...BASE, model_type: 'llama', num_key_value_heads: undefined });
    expect([llama.kvHeadCount, llama.maxContextTokens, llama.tiedEmbeddings, llama.rmsNormEpsilon]).toEqual([
      4,
      2048,
      false,
      1e-6,
    ]);
    expect([llama.qkvBias, llama.attentionOutputBias, llama.mlpBias]).toEqual([false, false, false]);
    expect(readFlat({ ...BASE, model_type: 'mistral', num_key_value_heads: null }).kvHeadCount).toBe(4);
    expect(
      readFlat({
        ...BASE,
        model_type: 'mistral',
        num_attention_heads: 32,
        head_dim: 32,
        num_key_value_heads: undefined,
      }).kvHeadCount,
    ).toBe(8);
  });

  test('reads head_dim and the biases of llama', () => {
    const shape = readFlat({ ...BASE, model_type: 'llama', head_dim: 32, attention_bias: true, mlp_bias: true });
    expect([shape.headDim, shape.qkvBias, shape.attentionOutputBias, shape.mlpBias]).toEqual([32, true, true, true]);
  });

  test.each([
    ['mistral', { sliding_window: null }, 131_072],
    ['mistral', { sliding_window: 4096 }, 4096],
    ['mistral', { sliding_window: 4096, max_position_embeddings: 1024 }, 1024],
    ['mistral', {}, 4096], // transformers' default of a config that does not mention it
    ['mistral', { sliding_window: 0 }, 131_072], // no window: transformers itself fails on it
    ['qwen2', { sliding_window: 0, use_sliding_window: true, max_window_layers: 0 }, 32_768],
    ['qwen2', { sliding_window: 128 }, 32_768],
    ['qwen2', { sliding_window: 128, use_sliding_window: true, max_window_layers: 2 }, 32_768],
    ['qwen2', { sliding_window: 128, use_sliding_window: true, max_window_layers: 1 }, 128],
    ['qwen2', { sliding_window: 128, use_sliding_window: true, layer_types: ['full_attention'] }, 32_768],
    ['qwen2', { sliding_window: 128, use_sliding_window: true, layer_types: ['sliding_attention'] }, 128],
  ])('a sliding window caps the context: %s %j → %d', (model_type, fields, expected) => {
    expect(read({ ...BASE, model_type, ...fields }).maxContextTokens).toBe(expected);
  });

  test.each([
    ['unsupported_architecture', 'hidden_act', { hidden_act: 'gelu' }],
    ['unsupported_architecture', 'head_dim', { head_dim: 5 }],
    ['unsupported_architecture', 'rope_scaling.rope_type', { rope_scaling: { rope_type: 'longrope' } }],
    ['config_invalid', 'hidden_size', { hidden_size: NaN }],
    ['config_invalid', 'hidden_size', { hidden_size: 66 }],
    ['config_invalid', 'hidden_size', { hidden_size: '64' }],
    ['config_invalid', 'num_hidden_layers', { num_hidden_layers: 0 }],
    ['config_invalid', 'num_attention_heads', { num_attention_heads: 2.5 }],
    ['config_invalid', 'num_key_value_heads', { num_key_value_heads: 3 }],
    ['config_invalid', 'vocab_size', { vocab_size: -1 }],
    ['config_invalid', 'rms_norm_eps', { rms_norm_eps: -1 }],
    ['config_invalid', 'rms_norm_eps', { rms_norm_eps: Infinity }],
    ['config_invalid', 'tie_word_embeddings', { tie_word_embeddings: 'yes' }],
    ['config_invalid', 'max_position_embeddings', { max_position_embeddings: 1e300 }],
  ])('refuses with %s, naming %s: %j', (code, field, fields) => {
    expect(() => read({ ...BASE, model_type: 'llama', ...fields })).toThrow(
      expect.objectContaining({ code, detail: expect.objectContaining({ field }) as unknown }),
    );
  });

  test('any config gives a shape or a typed error', () => {
    const fields = [
      ...Object.keys(BASE),
      'head_dim',
      'rope_scaling',
      'rope_parameters',
      'sliding_window',
      'hidden_act',
    ];
    const configs = fc.record({
      model_type: fc.constantFrom(...supportedModelTypes()),
      overrides: fc.dictionary(fc.constantFrom(...fields), fc.jsonValue()),
    });
    fc.assert(
      fc.property(configs, ({ model_type, overrides }) => {
        try {
          const shape = readFlat({ ...BASE, model_type, ...overrides });
          expect(shape.headDim % 2).toBe(0);
          expect([shape.paddedHeadDim % 16, shape.paddedHeadDim - shape.headDim < 16]).toEqual([0, true]);
          expect(shape.headCount % shape.kvHeadCount).toBe(0);
        } catch (error) {
          if (!isLoadError(error) || error.code === 'internal') throw error;
        }
      }),
    );
  });
});
