/**
 * A model whose tensors are too large for the device, from plan to logits: planned, filled and run (on onnxruntime's CPU
 * provider), its split graph gives what the whole one gives. The whole one is held against transformers in
 * test/unit/blueprints/numbers.test.ts.
 */
import { wholeModel } from '../blueprints/support/flat-spec.ts';
import { describe, expect, test } from 'vitest';
import { listGraphTensors } from '../../../src/base/weight-tensors.ts';
import type { WeightBinding } from '../../../src/blueprints/blueprint.ts';
import { findBlueprint } from '../../../src/blueprints/registry.ts';
import type { Dtype, LoadPlan } from '../../../src/contract/plan.ts';
import { describeGraph } from '../blueprints/support/read-graph.ts';
import { createRunner, maxDifference } from '../blueprints/support/run-graph.ts';
import { CONTEXT, fill, type OnDisk, openModel, planModel } from './model-on-disk.ts';

function buildGraph(planned: LoadPlan, binding: WeightBinding): Uint8Array {
  const { spec, weights, caches, activationType } = planned;
  return findBlueprint({ model_type: spec.modelType }).buildGraph({
    spec,
    weights,
    caches,
    activationType,
    binding,
    ...wholeModel(spec),
  });
}

/** Logits after a prefill over all parts of the vocabulary, and after a step. */
async function computeLogits(planned: LoadPlan, repository: OnDisk, binding: WeightBinding): Promise<Float32Array[]> {
  const buffers = await fill(planned, repository);
  const model = buildGraph(planned, binding);
  const runner = await createRunner({
    plan: planned,
    buffers,
    model,
    binding,
    capacity: CONTEXT,
  });
  try {
    const { vocabSize } = planned.sizes;
    const ids = Array.from({ length: 24 }, (_, i) => (i * 37) % vocabSize);
    return [await runner.run([...ids, 0, vocabSize - 1]), await runner.run([vocabSize - 2])];
  } finally {
    await runner.release();
  }
}

const countParts = ({ weights }: LoadPlan, name: string): number =>
  weights.filter(({ part }) => part?.of === name).length;

describe('a split model computes what the whole one does', () => {
  // Limits in bytes: the first leaves most matrices whole, the second cuts nearly everything, in more parts than one Concat takes.
  test.each<[string, Dtype, WeightBinding, number]>([
    ['tiny-llama', 'fp32', 'inputs', 16_384],
    ['tiny-llama', 'fp32', 'initializers', 8_200],
    ['tiny-llama', 'fp16', 'inputs', 4_096],
    ['tiny-mistral', 'fp32', 'inputs', 8_192],
    ['tiny-mistral', 'q8', 'inputs', 8_192],
    ['tiny-mistral', 'q8', 'initializers', 8_192],
    ['tiny-mistral', 'q4', 'inputs', 8_192],
    ['tiny-mistral', 'q4f16', 'initializers', 4_096],
    ['tiny-qwen2', 'q8', 'inputs', 16_384],
    ['tiny-qwen2', 'q4', 'initializers', 16_384],
    ['tiny-qwen2-tied', 'fp32', 'inputs', 8_192],
    ['tiny-qwen2-tied', 'fp16', 'initializers', 4_100],
    // Heads of 8 and 26 values, padded to 16 and 32: parts begin within heads.
    ['tiny-llama-head8', 'fp32', 'inputs', 8_192],
    ['tiny-mistral-head26', 'q8', 'initializers', 8_192],
  ])('%s %s, weights as %s, %d bytes a buffer', async (name, dtype, binding, maxBufferBytes) => {
    const repository = openModel(name);
    const split = await planModel(repository, dtype, maxBufferBytes);
    const whole = await planModel(repository, dtype, null);
    expect(split.limits).toEqual({ maxBufferBytes, simulated: true });
    expect(split.contextTokens).toBe(CONTEXT);
    expect(countParts(split, 'embed')).toBeGreaterThan(1);
    expect(split.costs).toEqual(whole.costs);
    const sizes = split.weights.flatMap(({ buffers }) => buffers.map(({ sizeBytes }) => sizeBytes));
    expect(Math.max(...sizes)).toBeLessThanOrEqual(maxBufferBytes);

    const expected = await computeLogits(whole, repository, binding);
    const actual = await computeLogits(split, repository, binding);
    // A product of fewer rows is summed in the same order, or nearly; in float16, a bias added afterwards rounds once more.
    const tolerance = dtype.endsWith('16') ? 0.02 : 1e-5;
    actual.forEach((logits, i) => {
      expect(maxDifference(logits, expected[i] as Float32Array)).toBeLessThan(tolerance);
    });
  });

  test('a tied, quantised embedding: its parts are shared by look-up and head', async () => {
    // 331 tokens of 72 do not quantise as an embedding (72 is no whole blocks), so one is made of the qwen2 with 64: its head
    // gets a name under which nobody looks for it, or it would be another one than the embedding that config.json ties it to.
    const repository = openModel('tiny-qwen2');
    const config = JSON.parse(new TextDecoder().decode(await repository.readAll('config.json'))) as object;
    const read: OnDisk['read'] = async (path, start, end) => {
      const whole = Buffer.from(await repository.readAll(path)).toString('latin1');
      return new Uint8Array(
        Buffer.from(whole.replace('lm_head.weight', 'no_head.weight'), 'latin1').subarray(start, end),
      );
    };
    const tied: OnDisk = {
      ...repository,
      read,
      readRange: read,
      readAll: (path) =>
        path === 'config.json'
          ? Promise.resolve(new TextEncoder().encode(JSON.stringify({ ...config, tie_word_embeddings: true })))
          : repository.readAll(path),
    };
    const split = await planModel(tied, 'q8', 8_192);
    expect(countParts(split, 'embed')).toBe(3);
    expect(countParts(split, 'lm_head')).toBe(0);
    expect(listGraphTensors(split.weights).filter(({ buffer }) => buffer === 'embed.part2.blocks')).toMatchObject([
      { name: 'embed.part2.blocks', dims: [301 - 2 * 128, 2, 32] },
      { name: 'embed.part2.gather', dims: [301 - 2 * 128, 64] },
    ]);
    for (const binding of ['inputs', 'initializers'] as const) {
      const expected = await computeLogits(await planModel(tied, 'q8', null), tied, binding);
      const actual = await computeLogits(split, tied, binding);
      actual.forEach((logits, i) => {
        expect(maxDifference(logits, expected[i] as Float32Array)).toBeLessThan(1e-5);
      });
    }
  });

  test('the graph in parts, as text', async () => {
    const split = await planModel(openModel('tiny-qwen2'), 'q8', 8_192);
    const graph = describeGraph(buildGraph(split, 'inputs'));
    await expect(graph).toMatchFileSnapshot('golden/tiny-qwen2-q8-split.txt');
  });
});
