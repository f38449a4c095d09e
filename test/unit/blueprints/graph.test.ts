/**
 * The graphs as text (golden/*.txt), so that a change of a graph is read in a diff: `npx vitest -u` writes them anew.
 */
import { wholeModel } from './support/flat-spec.ts';
import { describe, expect, test } from 'vitest';
import { findBlueprint } from '../../../src/blueprints/registry.ts';
import type { Dtype } from '../../../src/contract/plan.ts';
import type { GraphRequest, WeightBinding } from '../../../src/blueprints/blueprint.ts';
import { makePlan } from './support/plan.ts';
import { describeGraph, readModel } from './support/read-graph.ts';

const SIZES = {
  hidden_size: 96,
  intermediate_size: 176,
  num_hidden_layers: 2,
  num_attention_heads: 4,
  num_key_value_heads: 2,
  head_dim: 32,
  vocab_size: 301,
};

interface Case {
  readonly config: Readonly<Record<string, unknown>>;
  readonly dtype: Dtype;
  readonly binding: WeightBinding;
  readonly layers?: Pick<GraphRequest, 'layers' | 'hasEmbedding' | 'hasHead'>;
}

function build({ config, dtype, binding, layers }: Case): Uint8Array {
  const full = { ...SIZES, ...config };
  const blueprint = findBlueprint(full);
  const spec = blueprint.readSpec(full);
  const plan = makePlan(blueprint, spec, dtype, 512);
  return blueprint.buildGraph({ spec, ...plan, binding, ...(layers ?? wholeModel(spec)) });
}

const LLAMA = { model_type: 'llama', tie_word_embeddings: true, attention_bias: true, mlp_bias: true };
const MISTRAL = { model_type: 'mistral', tie_word_embeddings: false };
const QWEN2 = { model_type: 'qwen2', tie_word_embeddings: true };

describe('golden node lists', () => {
  test.each<[string, Case]>([
    ['llama-fp32-inputs', { config: LLAMA, dtype: 'fp32', binding: 'inputs' }],
    ['mistral-q4-inputs', { config: MISTRAL, dtype: 'q4', binding: 'inputs' }],
    ['mistral-fp16-initializers', { config: MISTRAL, dtype: 'fp16', binding: 'initializers' }],
    ['qwen2-q8-initializers', { config: QWEN2, dtype: 'q8', binding: 'initializers' }],
    ['qwen2-q4f16-inputs', { config: QWEN2, dtype: 'q4f16', binding: 'inputs' }],
  ])('%s', async (name, request) => {
    await expect(describeGraph(build(request))).toMatchFileSnapshot(`golden/${name}.txt`);
  });
});

describe('graph inputs', () => {
  const names = (model: Uint8Array) => readModel(model).graph?.input.map(({ name }) => name) ?? [];

  test('every input is consumed, and weights are inputs only where asked', () => {
    const request = {
      config: MISTRAL,
      dtype: 'q4',
      layers: { layers: [0, 1], hasEmbedding: true, hasHead: true },
    } as const;
    expect(names(build({ ...request, binding: 'initializers' })).toSorted()).toEqual([
      'input_ids',
      'past_key_values.0.key',
      'past_key_values.0.value',
      'past_key_values.1.key',
      'past_key_values.1.value',
      'seqlens_k',
      'total_sequence_length',
    ]);
    const { graph } = readModel(build({ ...request, binding: 'inputs' }));
    const consumed = new Set(graph?.node.flatMap(({ input }) => input));
    expect(graph?.input.filter(({ name }) => !consumed.has(name))).toEqual([]);
    // An untied embedding is looked up and never multiplied with.
    expect(graph?.input.map(({ name }) => name)).not.toContain('embed.blocks');
  });

  test('a range of layers declares its own weights only, and hands hidden states on', () => {
    const request = { config: LLAMA, dtype: 'fp32', binding: 'inputs' } as const;
    const first = readModel(build({ ...request, layers: { layers: [0], hasEmbedding: true, hasHead: false } })).graph;
    const last = readModel(build({ ...request, layers: { layers: [1], hasEmbedding: false, hasHead: true } })).graph;
    const inputs = (graph: typeof first) => graph?.input.map(({ name }) => name) ?? [];
    const outputs = (graph: typeof first) => graph?.output.map(({ name }) => name);
    expect(inputs(first)).toContain('input_ids');
    expect(inputs(first).filter((name) => /^(layers\.1|norm$|hidden_states$)/.test(name))).toEqual([]);
    expect(outputs(first)).toEqual(['present.0.key', 'present.0.value', 'hidden_states_out']);
    expect(inputs(last)).toContain('hidden_states');
    expect(inputs(last).filter((name) => /^(layers\.0|input_ids$)/.test(name))).toEqual([]);
    expect(outputs(last)).toEqual(['present.1.key', 'present.1.value', 'logits']);
  });
});
