/**
 * What every part of a decoder's graph is given.
 */
import type { DecoderSpec } from '../../contract/decoder-spec.ts';
import type { GraphBuilder, Value } from '../../onnx/graph-builder.ts';
import type { GraphWeights } from './graph-weights.ts';

/** A decoder's graph under construction. All activations are 2-D, [tokens, features], called [S, n] below. */
export interface DecoderContext {
  readonly graph: GraphBuilder;
  readonly spec: DecoderSpec;
  readonly weights: GraphWeights;
  /** Number format of what matrices and attention take and give, and of keys and values. The residual stream is float32. */
  readonly activation: 'float32' | 'float16';
  /** What runs the graph: WebGPU takes weights as inputs, the CPU provider (WASM) as initializers. */
  readonly provider: 'webgpu' | 'cpu';
}

/**
 * The residual stream between blocks: `residual + update`, whose sum the next norm takes in the same kernel.
 *
 * The residual is float32 whatever the activations are: models of several families (Qwen 2.5, Gemma) let it grow beyond 65,504,
 * where float16 ends, at the first tokens of a text ("massive activations", arXiv:2402.17762). What stands behind a norm has a
 * size of about one again.
 */
export interface ResidualStream {
  readonly residual: Value; // [S, hidden], float32
  /** What the last block adds, in the activation type; null at the start. */
  readonly update: Value | null; // [S, hidden]
}
