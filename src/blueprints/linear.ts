/**
 * A linear layer, y = x Wᵀ + b, in whatever encoding the plan gave its weight.
 */
import { unreachable } from '../base/assert.ts';
import { QUANT_BLOCK_SIZE } from '../contract/plan.ts';
import { int, MICROSOFT_DOMAIN, type Value } from '../onnx/graph-builder.ts';
import type { DecoderContext } from './decoder-context.ts';

/** A linear layer: its node's name, its weight's, and whether it has a bias (`<weight>.bias`). */
export interface LinearOptions {
  readonly name: string;
  readonly weight: string;
  readonly bias: boolean;
  /** Name of the output, where it is a graph output. */
  readonly output?: string;
}

/**
 * Emits one node, which adds the bias itself.
 *
 * ```
 *   f32, f16   x [S, cols] ─► Gemm(transB) ◄─ W [rows, cols], b [rows]            ─► [S, rows]
 *   q8, q4     x [S, cols] ─► MatMulNBits  ◄─ blocks, scales (and no zero points), b ─► [S, rows]
 * ```
 *
 * Gemm takes the matrix as the checkpoint has it, [out, in]: so a tied embedding is one buffer for its two readers.
 */
export function emitLinear({ graph, weights }: DecoderContext, x: Value, options: LinearOptions): Value {
  const { rows, cols, encoding } = weights.describe(options.weight);
  const output = options.output === undefined ? {} : { output: options.output };
  const bias = options.bias ? weights.tensor(`${options.weight}.bias`) : null; // [rows]
  switch (encoding) {
    case 'f32':
    case 'f16': {
      const inputs = [x, weights.tensor(options.weight), ...(bias ? [bias] : [])];
      return graph.node('Gemm', inputs, { name: `${options.name}/Gemm`, attributes: { transB: int(1) }, ...output }); // [S, rows]
    }
    case 'q8':
    case 'q4': {
      const blocks = weights.tensor(`${options.weight}.blocks`); // [rows, nBlocks, 32 or 16]
      const scales = weights.tensor(`${options.weight}.scales`); // [rows, nBlocks]
      // Order: A, B, scales, zero_points, g_idx, bias.
      return graph.node('MatMulNBits', [x, blocks, scales, ...(bias ? [null, null, bias] : [])], {
        name: `${options.name}/MatMulNBits`,
        domain: MICROSOFT_DOMAIN,
        ...output,
        attributes: {
          K: int(cols),
          N: int(rows),
          bits: int(encoding === 'q8' ? 8 : 4),
          block_size: int(QUANT_BLOCK_SIZE),
        },
      }); // [S, rows]
    }
    default:
      return unreachable(encoding);
  }
}
