/**
 * Stage 3: the plan becomes ONNX graphs with no weights in them. Pure.
 *
 * In: a plan. Out: {@link ModelGraphs}. Guarantees: every shape is right, every value absent.
 */
import { findBlueprint } from '../blueprints/registry.ts';
import type { LoadPlan } from '../contract/plan.ts';

/** ONNX bytes. */
export interface ModelGraphs {
  readonly model: Uint8Array<ArrayBuffer>;
  /** Embedding, first layer and head: one of each kind of node that the model has, for warming up. */
  readonly skeleton: Uint8Array<ArrayBuffer>;
}

/** See the file's header. */
export function buildGraphs(plan: LoadPlan): ModelGraphs {
  const blueprint = findBlueprint({ model_type: plan.shape.modelType });
  const build = (layerCount: number): Uint8Array<ArrayBuffer> =>
    blueprint.buildGraph({
      shape: { ...plan.shape, layerCount },
      weights: plan.weights,
      graphTensors: plan.graphTensors,
      kvType: plan.kvType,
      binding: plan.device === 'webgpu' ? 'inputs' : 'initializers',
      layers: { start: 0, end: layerCount },
    });
  return { model: build(plan.shape.layerCount), skeleton: build(1) };
}
