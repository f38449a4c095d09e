/**
 * What every part of a decoder's graph is given.
 */
import type { DecoderShape } from '../contract/plan.ts';
import type { GraphBuilder, Value } from '../onnx/graph-builder.ts';
import type { GraphWeights } from './graph-weights.ts';

/** A decoder's graph under construction. All activations are 2-D, [tokens, features], called [S, n] below. */
export interface DecoderContext {
  readonly graph: GraphBuilder;
  readonly shape: DecoderShape;
  readonly weights: GraphWeights;
  /** Number format of activations, and of keys and values. */
  readonly activation: 'float32' | 'float16';
  /** What runs the graph: WebGPU takes weights as inputs, the CPU provider (WASM) as initializers. */
  readonly provider: 'webgpu' | 'cpu';
}

/** The residual stream between blocks: `residual + update`, whose sum the next norm takes in the same kernel. */
export interface ResidualStream {
  readonly residual: Value; // [S, hidden]
  /** What the last block adds; null at the start. */
  readonly update: Value | null; // [S, hidden]
}
