/**
 * Stage 3: the plan becomes ONNX graphs with no weights in them. Pure.
 *
 * In: a plan. Out: {@link ModelGraphs}. Guarantees: every shape is right, every value absent.
 */
import type { WeightBinding } from '../../blueprints/blueprint.ts';
import { listLayerKinds } from '../../blueprints/decoder-graph.ts';
import { findBlueprint } from '../../blueprints/registry.ts';
import type { LoadPlan } from '../../contract/plan.ts';
import { GraphBuilder } from '../../onnx/graph-builder.ts';

/** ONNX bytes. */
export interface ModelGraphs {
  readonly model: Uint8Array<ArrayBuffer>;
  /** Embedding, one layer of each kind, and head: one of each kind of node that the model has, for warming up. */
  readonly skeleton: Uint8Array<ArrayBuffer>;
  /** One layer of each kind alone. */
  readonly layers: readonly LayerGraphs[];
}

/** A layer, hidden states in and out: for the device, and for WebAssembly, which proves the device right. */
export interface LayerGraphs {
  readonly layer: number;
  readonly device: Uint8Array<ArrayBuffer>;
  readonly wasm: Uint8Array<ArrayBuffer>;
}

/** See the file's header. */
export function buildGraphs(plan: LoadPlan): ModelGraphs {
  const { spec, weights, caches, activationType } = plan;
  const blueprint = findBlueprint({ model_type: spec.modelType });
  const binding = plan.device === 'webgpu' ? 'inputs' : 'initializers';
  const build = (layers: readonly number[], isWhole: boolean, bound: WeightBinding): Uint8Array<ArrayBuffer> =>
    blueprint.buildGraph({
      spec,
      weights,
      caches,
      activationType,
      layers,
      binding: bound,
      hasEmbedding: isWhole,
      hasHead: isWhole,
    });
  const kinds = listLayerKinds(spec);
  return {
    model: build([...spec.layers.keys()], true, binding),
    skeleton: build(kinds, true, binding),
    layers: kinds.map((layer) => ({
      layer,
      device: build([layer], false, binding),
      wasm: build([layer], false, 'initializers'),
    })),
  };
}

/** A graph that computes nothing, for having the runtime started before there is anything to compute. */
export function buildNothing(): Uint8Array<ArrayBuffer> {
  const builder = new GraphBuilder();
  const input = builder.input('x', 'float32', [1]);
  builder.output(builder.node('Identity', [input], { name: '/Identity', output: 'y' }), 'float32', [1]);
  return builder.build('nothing');
}
