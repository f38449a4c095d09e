/**
 * Stage 3: the plan becomes ONNX graphs with no weights in them. Pure.
 *
 * In: a plan. Out: {@link ModelGraphs}. Guarantees: every shape is right, every value absent.
 */
import type { GraphRequest } from '../../blueprints/blueprint.ts';
import { findBlueprint } from '../../blueprints/registry.ts';
import type { LoadPlan } from '../../contract/plan.ts';
import { GraphBuilder } from '../../onnx/graph-builder.ts';

/** ONNX bytes. */
export interface ModelGraphs {
  readonly model: Uint8Array<ArrayBuffer>;
  /** Embedding, first layer and head: one of each kind of node that the model has, for warming up. */
  readonly skeleton: Uint8Array<ArrayBuffer>;
  /** The first layer alone, hidden states in and out: for the device, and for WebAssembly, which proves the device right. */
  readonly firstLayer: { readonly device: Uint8Array<ArrayBuffer>; readonly wasm: Uint8Array<ArrayBuffer> };
}

/** See the file's header. */
export function buildGraphs(plan: LoadPlan): ModelGraphs {
  const { shape, weights, caches, activationType } = plan;
  const blueprint = findBlueprint({ model_type: shape.modelType });
  const binding = plan.device === 'webgpu' ? 'inputs' : 'initializers';
  const build = (layerCount: number, request: Pick<GraphRequest, 'binding' | 'isInner'>): Uint8Array<ArrayBuffer> =>
    blueprint.buildGraph({
      shape: { ...shape, layerCount },
      weights,
      caches,
      activationType,
      layers: { start: 0, end: layerCount },
      ...request,
    });
  return {
    model: build(shape.layerCount, { binding }),
    skeleton: build(1, { binding }),
    firstLayer: {
      device: build(1, { binding, isInner: true }),
      wasm: build(1, { binding: 'initializers', isInner: true }),
    },
  };
}

/** A graph that computes nothing, for having the runtime started before there is anything to compute. */
export function buildNothing(): Uint8Array<ArrayBuffer> {
  const builder = new GraphBuilder();
  const input = builder.input('x', 'float32', [1]);
  builder.output(builder.node('Identity', [input], { name: '/Identity', output: 'y' }), 'float32', [1]);
  return builder.build('nothing');
}
