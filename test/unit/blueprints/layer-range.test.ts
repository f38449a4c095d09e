/**
 * A model cut between its layers computes what the whole one does.
 */
import * as ort from 'onnxruntime-web';
import { expect, test } from 'vitest';
import { findBlueprint } from '../../../src/blueprints/registry.ts';
import { readCheckpoint } from './support/checkpoint.ts';
import { fillPlan, makePlan } from './support/plan.ts';
import { maxDifference } from './support/run-graph.ts';

const IDS = [5, 17, 33, 2, 250];

test('layers 0 to 1 and then 1 to 3 give the logits of layers 0 to 3', async () => {
  const checkpoint = readCheckpoint('tiny-mistral');
  const blueprint = findBlueprint(checkpoint.config);
  const spec = blueprint.readSpec(checkpoint.config);
  const plan = makePlan(blueprint, spec, 'fp32', 64);
  const { buffers } = fillPlan(plan, blueprint.listWeights(spec, 64), spec, checkpoint);

  const run = async (layers: readonly number[], feeds: Record<string, ort.Tensor>) => {
    const ends = { hasEmbedding: layers[0] === 0, hasHead: layers.at(-1) === 2 };
    const model = blueprint.buildGraph({ spec, ...plan, binding: 'initializers', layers, ...ends });
    const session = await ort.InferenceSession.create(model, {
      executionProviders: ['wasm'],
      externalData: [...buffers].map(([path, data]) => ({ path, data })),
    });
    const caches = plan.caches.filter(({ past }) => session.inputNames.includes(past));
    const results = await session.run({
      ...feeds,
      ...Object.fromEntries(
        caches.map(
          ({ past, dims }) =>
            [
              past,
              new ort.Tensor(
                'float32',
                [],
                dims.map((dim) => dim ?? 0),
              ),
            ] as const,
        ),
      ),
      seqlens_k: new ort.Tensor('int32', [IDS.length - 1], [1]),
      total_sequence_length: new ort.Tensor('int32', [IDS.length], [1]),
    });
    await session.release();
    return results;
  };

  const ids = { input_ids: new ort.Tensor('int64', IDS.map(BigInt), [1, IDS.length]) };
  const whole = await run([0, 1, 2], ids);
  const first = await run([0], ids);
  const rest = await run([1, 2], { hidden_states: first['hidden_states_out'] as ort.Tensor });
  expect(maxDifference(rest['logits']?.data as Float32Array, whole['logits']?.data as Float32Array)).toBeLessThan(1e-5);
});
