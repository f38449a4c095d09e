/**
 * The graphs' numbers on onnxruntime's CPU provider, against Hugging Face transformers in float32 on the same random
 * checkpoints (test/fixtures/reference/, written by test/reference/).
 */
import { wholeModel } from './support/flat-spec.ts';
import { describe, expect, test } from 'vitest';
import { findBlueprint } from '../../../src/blueprints/registry.ts';
import type { WeightBinding } from '../../../src/blueprints/blueprint.ts';
import type { Dtype } from '../../../src/contract/plan.ts';
import { hasReference, readCheckpoint, readReference } from './support/checkpoint.ts';
import { fillPlan, makePlan } from './support/plan.ts';
import { createRunner, maxDifference, type Runner } from './support/run-graph.ts';

const CONTEXT = 160;
/** Logits reach about 5 here; float32 sums in another order differ by some 1e-5. */
const FP32_TOLERANCE = 1e-4;

interface RunnerRequest {
  readonly dtype: Dtype;
  readonly binding?: WeightBinding;
  readonly capacity?: number | null;
  /** In float32, but with the values that these quantised weights stand for. */
  readonly roundedAs?: Dtype;
}

async function withRunner(
  model: string,
  request: RunnerRequest,
  work: (runner: Runner) => Promise<void>,
): Promise<void> {
  const { dtype, binding = 'initializers', capacity = null, roundedAs } = request;
  const checkpoint = readCheckpoint(model);
  const blueprint = findBlueprint(checkpoint.config);
  const spec = blueprint.readSpec(checkpoint.config);
  const specs = blueprint.listWeights(spec, CONTEXT);
  const plan = makePlan(blueprint, spec, dtype, CONTEXT);
  const { buffers } = fillPlan(plan, specs, spec, checkpoint);
  if (roundedAs) {
    const { dequantised } = fillPlan(makePlan(blueprint, spec, roundedAs, CONTEXT), specs, spec, checkpoint);
    for (const [name, values] of dequantised) buffers.set(name, new Uint8Array(values.slice().buffer));
  }
  const graph = blueprint.buildGraph({ spec, ...plan, binding, ...wholeModel(spec) });
  const runner = await createRunner({ plan, buffers, model: graph, binding, capacity });
  try {
    await work(runner);
  } finally {
    await runner.release();
  }
}

describe.each([
  'tiny-llama',
  'tiny-mistral',
  'tiny-qwen2',
  'tiny-qwen2-tied',
  'tiny-qwen2-massive',
  'tiny-llama-head8',
  'tiny-mistral-head26',
  'tiny-qwen2-head100',
  'tiny-qwen3',
])('%s', (model) => {
  const known = hasReference(model);
  const hasKernelNorms = model === 'tiny-qwen3';
  if (hasKernelNorms)
    console.warn(
      `SKIPPED: ${model} with weights as inputs, and so with a static cache: the attention kernel of the CPU provider has no norms of heads`,
    );
  if (!known)
    console.warn(`SKIPPED: numbers of ${model} against transformers: test/fixtures/reference/ has no ${model}.json`);

  test.skipIf(!known)('logits of every prompt are those of transformers', async () => {
    const { prompts } = readReference(model);
    await withRunner(model, { dtype: 'fp32' }, async (runner) => {
      for (const { ids, logits } of prompts) {
        runner.reset();
        expect(maxDifference(await runner.run(ids), logits)).toBeLessThan(FP32_TOLERANCE);
      }
    });
  });

  test
    .skipIf(!known)
    .each<[string, number | null]>([
      ['growing', null],
      ...(hasKernelNorms ? [] : [['static', CONTEXT] as [string, number]]),
    ])('prefill and then steps, %s cache, give the logits of every position', async (_, capacity) => {
    const { ids, logits } = readReference(model).scoring;
    const vocab = logits.length / ids.length;
    await withRunner(
      model,
      { dtype: 'fp32', binding: hasKernelNorms ? 'initializers' : 'inputs', capacity },
      async (runner) => {
        let length = 0;
        for (const count of [5, 1, 1, 6, 1, 1]) {
          const actual = await runner.run(ids.slice(length, length + count));
          length += count;
          const expected = logits.subarray((length - 1) * vocab, length * vocab);
          expect(maxDifference(actual, expected)).toBeLessThan(FP32_TOLERANCE);
        }
      },
    );
  });

  test.skipIf(!known)('greedy ids are those of transformers', async () => {
    const { prompt, ids } = readReference(model).greedy;
    const expected = ids.slice(0, CONTEXT - prompt.length);
    await withRunner(model, { dtype: 'fp32', capacity: CONTEXT }, async (runner) => {
      const found: number[] = [];
      let logits = await runner.run(prompt);
      while (found.length < expected.length) {
        found.push(logits.indexOf(logits.reduce((most, value) => Math.max(most, value), -Infinity)));
        if (found.length < expected.length) logits = await runner.run(found.slice(-1));
      }
      expect(found).toEqual(expected);
    });
  });

  // The look-up of a quantised embedding differs between the bindings: both stand against the same float32 graph.
  const bindings: readonly WeightBinding[] = hasKernelNorms ? ['initializers'] : ['initializers', 'inputs'];
  test.each((['q8', 'q4'] as const).flatMap((dtype) => bindings.map((binding) => [dtype, binding] as const)))(
    '%s with weights as %s computes with exactly the rounded weights',
    async (dtype, binding) => {
      const ids = [5, 17, 33, 2, 250, 100, 7];
      const results: Float32Array[] = [];
      const collect = async (runner: Runner): Promise<void> => void results.push(await runner.run(ids));
      await withRunner(model, { dtype, binding }, collect);
      await withRunner(model, { dtype: 'fp32', roundedAs: dtype }, collect);
      expect(maxDifference(results[0] as Float32Array, results[1] as Float32Array)).toBeLessThan(FP32_TOLERANCE);
    },
  );

  test.each<[Dtype, number, Dtype?]>([
    ['fp16', 0.02],
    ['q4f16', 0.05, 'q4'],
  ])('%s stays within %d of float32', async (dtype, tolerance, roundedAs) => {
    const ids = [5, 17, 33, 2, 250, 100, 7];
    const results: Float32Array[] = [];
    const collect = async (runner: Runner): Promise<void> => {
      await runner.run(ids.slice(0, 6));
      results.push(await runner.run(ids.slice(6)));
    };
    await withRunner(model, { dtype, capacity: 32 }, collect);
    await withRunner(model, roundedAs ? { dtype: 'fp32', roundedAs } : { dtype: 'fp32' }, collect);
    expect(maxDifference(results[0] as Float32Array, results[1] as Float32Array)).toBeLessThan(tolerance);
  });
});
