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
  const shape = blueprint.readShape(checkpoint.config);
  const plan = makePlan(blueprint, shape, 'fp32', 64);
  const { buffers } = fillPlan(plan, blueprint.listWeights(shape, 64), shape, checkpoint);

  const run = async (start: number, end: number, feeds: Record<string, ort.Tensor>) => {
    const model = blueprint.buildGraph({ shape, ...plan, binding: 'initializers', layers: { start, end } });
    const session = await ort.InferenceSession.create(model, {
      executionProviders: ['wasm'],
      externalData: [...buffers].map(([path, data]) => ({ path, data })),
    });
    const empty = () => new ort.Tensor('float32', [], [1, shape.kvHeadCount, 0, shape.paddedHeadDim]);
    const pastNames = session.inputNames.filter((name) => name.startsWith('past_'));
    const results = await session.run({
      ...feeds,
      ...Object.fromEntries(pastNames.map((name) => [name, empty()] as const)),
      seqlens_k: new ort.Tensor('int32', [IDS.length - 1], [1]),
      total_sequence_length: new ort.Tensor('int32', [IDS.length], [1]),
    });
    await session.release();
    return results;
  };

  const ids = { input_ids: new ort.Tensor('int64', IDS.map(BigInt), [1, IDS.length]) };
  const whole = await run(0, 3, ids);
  const first = await run(0, 1, ids);
  const rest = await run(1, 3, { hidden_states: first['hidden_states_out'] as ort.Tensor });
  expect(maxDifference(rest['logits']?.data as Float32Array, whole['logits']?.data as Float32Array)).toBeLessThan(1e-5);
});
