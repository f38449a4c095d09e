/**
 * A field of config.json that changes the mathematics is never passed over: what a family did not read is refused, unless it is
 * known to have no effect.
 */
import { describe, expect, test } from 'vitest';
import { recordConfig } from '../../../src/blueprints/config/recorded-config.ts';
import { findBlueprint } from '../../../src/blueprints/registry.ts';

const BASE = {
  model_type: 'llama',
  hidden_size: 64,
  intermediate_size: 176,
  num_hidden_layers: 2,
  num_attention_heads: 4,
  vocab_size: 301,
};
const read = (fields: Readonly<Record<string, unknown>>) => findBlueprint(BASE).readSpec({ ...BASE, ...fields });

describe('what is recorded', () => {
  test('reading is enough, in nested objects too; what is empty says nothing', () => {
    const recorded = recordConfig({ a: 1, b: { c: 2, d: 3 }, e: [1], f: null, g: false, h: {}, i: '', j: 0 });
    expect(recorded.config['a']).toBe(1);
    expect((recorded.config['b'] as Record<string, unknown>)['c']).toBe(2);
    expect(recorded.listUnread().map(({ field }) => field)).toEqual(['b.d', 'e', 'j']);
  });
});

describe('what a family does not know', () => {
  // Fields of other families' configuration classes in transformers, each of which changes logits there.
  test.each([
    ['attn_logit_softcapping', 50],
    ['final_logit_softcapping', 30],
    ['embedding_multiplier', 12],
    ['logits_scaling', 8],
    ['residual_multiplier', 0.22],
    ['query_pre_attn_scalar', 144],
    ['num_local_experts', 8],
    ['no_rope_layers', [1, 1, 0]],
    ['use_qk_norm', true],
  ])('is refused by its name: %s', (field, value) => {
    expect(() => read({ [field]: value })).toThrow(
      expect.objectContaining({ code: 'unsupported_architecture', detail: { modelType: 'llama', fields: [field] } }),
    );
  });

  test('is refused inside of rope_scaling, too', () => {
    const rope_scaling = { rope_type: 'linear', factor: 2, mscale: 0.7 };
    expect(() => read({ rope_scaling })).toThrow(expect.objectContaining({ code: 'unsupported_architecture' }));
  });

  test.each([
    ['switched off', { final_logit_softcapping: null, use_qk_norm: false }],
    ['about training', { attention_dropout: 0.1, initializer_range: 0.02 }],
    ['about where it was made', { transformers_version: '4.40.0', torch_dtype: 'bfloat16', _name_or_path: './x' }],
    ['about generation', { eos_token_id: [1, 2], max_length: 20, temperature: 0.7 }],
    ['of transformers that multiplied in slices', { pretraining_tp: 2 }],
  ])('is taken where it has no effect: %s', (_, fields) => {
    expect(read(fields).layers.length).toBe(2);
  });
});
