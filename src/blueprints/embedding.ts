/**
 * Token ids → the first hidden states.
 */
import { assert } from '../base/assert.ts';
import { QUANT_BLOCK_SIZE } from '../contract/plan.ts';
import { int, MICROSOFT_DOMAIN, type Value } from '../onnx/graph-builder.ts';
import type { DecoderContext } from './decoder-context.ts';

/**
 * Emits the look-up of each token's row.
 *
 * ```
 *   f32, f16   input_ids [1, S] ─► Gather ─► Reshape ─► [S, hidden]
 *   q8, q4     input_ids [1, S] ─► GatherBlockQuantized ─► Reshape ─► (Slice) ─► [S, hidden]
 * ```
 *
 * A row of quantised blocks is padded to whole blocks of 32, as the head reads it; where hidden is no multiple of 32, the
 * padding is looked up too and cut off again.
 */
export function emitEmbedding(context: DecoderContext, inputIds: Value): Value {
  const { graph, shape, weights } = context;
  const { encoding } = weights.describe('embed');
  const name = '/model/embed_tokens';
  if (encoding === 'f32' || encoding === 'f16') {
    const rows = graph.node('Gather', [weights.tensor('embed'), inputIds], { name: `${name}/Gather` }); // [1, S, hidden]
    return graph.node('Reshape', [rows, graph.int64([-1, shape.hiddenSize])], { name: `${name}/Reshape` }); // [S, hidden]
  }

  const bits = encoding === 'q8' ? 8 : 4;
  const paddedSize = Math.ceil(shape.hiddenSize / QUANT_BLOCK_SIZE) * QUANT_BLOCK_SIZE;
  const rowBytes = weights.dims('embed.gather')[1];
  assert(rowBytes === (paddedSize * bits) / 8, 'a row of a quantised embedding is whole blocks');
  const rows = graph.node(
    'GatherBlockQuantized',
    [weights.tensor('embed.gather'), inputIds, weights.tensor('embed.scales')], // [V, rowBytes], [1, S], [V, nBlocks]
    {
      name: `${name}/GatherBlockQuantized`,
      domain: MICROSOFT_DOMAIN,
      attributes: { bits: int(bits), block_size: int(QUANT_BLOCK_SIZE), gather_axis: int(0), quantize_axis: int(1) },
    },
  ); // [1, S, padded]
  const padded = graph.node('Reshape', [rows, graph.int64([-1, paddedSize])], { name: `${name}/Reshape` }); // [S, padded]
  if (paddedSize === shape.hiddenSize) return padded;
  return graph.node('Slice', [padded, graph.int64([0]), graph.int64([shape.hiddenSize]), graph.int64([1])], {
    name: `${name}/Slice`,
  }); // [S, hidden]
}
