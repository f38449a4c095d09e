/**
 * Token ids → the first hidden states.
 */
import { assert } from '../base/assert.ts';
import { QUANT_BLOCK_SIZE } from '../contract/plan.ts';
import { int, MICROSOFT_DOMAIN, ONNX_TYPE, text, type Value } from '../onnx/graph-builder.ts';
import type { DecoderContext } from './decoder-context.ts';

const NAME = '/model/embed_tokens';

/**
 * Emits the look-up of each token's row.
 *
 * ```
 *   f32, f16   input_ids [1, S] ─► Gather ─► Reshape ─► [S, hidden]
 *   q8, q4     input_ids [1, S] ─► (GatherBlockQuantized, or its parts) ─► Reshape ─► (Slice) ─► [S, hidden]
 * ```
 *
 * A row of quantised blocks is padded to whole blocks of 32, as the head reads it; where hidden is no multiple of 32, the
 * padding is looked up too and cut off again.
 */
export function emitEmbedding(context: DecoderContext, inputIds: Value): Value {
  const { graph, shape, weights } = context;
  const { encoding } = weights.describe('embed');
  if (encoding === 'f32' || encoding === 'f16') {
    const rows = graph.node('Gather', [weights.tensor('embed'), inputIds], { name: `${NAME}/Gather` }); // [1, S, hidden]
    return emitReshape(context, rows, [-1, shape.hiddenSize], 'Reshape'); // [S, hidden]
  }

  const bits = encoding === 'q8' ? 8 : 4;
  const paddedSize = Math.ceil(shape.hiddenSize / QUANT_BLOCK_SIZE) * QUANT_BLOCK_SIZE;
  const rowBytes = weights.dims('embed.gather')[1];
  assert(rowBytes === (paddedSize * bits) / 8, 'a row of a quantised embedding is whole blocks');
  const rows =
    context.provider === 'webgpu'
      ? emitGatherBlockQuantized(context, inputIds, bits)
      : emitGatherAndDequantise(context, inputIds, bits, paddedSize / QUANT_BLOCK_SIZE);
  const padded = emitReshape(context, rows, [-1, paddedSize], 'Reshape'); // [S, padded]
  if (paddedSize === shape.hiddenSize) return padded;
  const bounds = [[0], [shape.hiddenSize], [1]].map((values) => graph.constant('int64', values)); // starts, ends, axes
  return graph.node('Slice', [padded, ...bounds], { name: `${NAME}/Slice` }); // [S, hidden]
}

function emitGatherBlockQuantized({ graph, weights }: DecoderContext, inputIds: Value, bits: 4 | 8): Value {
  return graph.node(
    'GatherBlockQuantized',
    [weights.tensor('embed.gather'), inputIds, weights.tensor('embed.scales')], // [V, rowBytes], [1, S], [V, nBlocks]
    {
      name: `${NAME}/GatherBlockQuantized`,
      domain: MICROSOFT_DOMAIN,
      attributes: { bits: int(bits), block_size: int(QUANT_BLOCK_SIZE), gather_axis: int(0), quantize_axis: int(1) },
    },
  ); // [1, S, padded]
}

/**
 * Emits the same from ONNX's own operators, for the CPU provider: it has no GatherBlockQuantized in onnxruntime-web's
 * `/webgpu` and `/jspi` builds (seen in 1.31.0-dev.20260914: "Could not find an implementation"). Once it has, this can go.
 *
 * ```
 *                 (q4)  ┌─► BitwiseAnd 15 ─┐
 *   ids ─► Gather bytes ┤                  ├─► Concat ─► Cast ─► Sub zero ─► Mul ─► [S, nBlocks, 32]
 *                       └─► BitShift 4 ────┘                                  ▲
 *   ids ─► Gather scales ─────────────────────────────────────────────────────┘
 * ```
 */
function emitGatherAndDequantise(context: DecoderContext, inputIds: Value, bits: 4 | 8, blockCount: number): Value {
  const { graph, shape, weights, activation } = context;
  const node = (opType: string, inputs: readonly Value[], part: string, attributes = {}): Value =>
    graph.node(opType, inputs, { name: `${NAME}/dequantise/${part}`, attributes });

  // A tied embedding is gathered from the head's own tensor: a second one over the same bytes would be a second copy here.
  const table = weights.tensor(shape.tiedEmbeddings ? 'embed.blocks' : 'embed.gather');
  const bytes = node('Gather', [table, inputIds], 'bytes/Gather'); // [1, S, rowBytes], or [1, S, nBlocks, blockBytes]
  const scales = node('Gather', [weights.tensor('embed.scales'), inputIds], 'scales/Gather'); // [1, S, nBlocks]
  let codes = bytes;
  if (bits === 4) {
    const nibble = [-1, blockCount, QUANT_BLOCK_SIZE / 2, 1];
    const low = node('BitwiseAnd', [bytes, graph.constant('uint8', 15)], 'low/BitwiseAnd');
    const shift = { direction: text('RIGHT') };
    const high = node('BitShift', [bytes, graph.constant('uint8', 4)], 'high/BitShift', shift);
    const pair = [
      emitReshape(context, low, nibble, 'dequantise/low/Reshape'),
      emitReshape(context, high, nibble, 'dequantise/high/Reshape'),
    ];
    codes = node('Concat', pair, 'Concat', { axis: int(3) }); // [S, nBlocks, 16, 2]
  }
  const zero = graph.constant('int32', bits === 4 ? 8 : 128);
  const whole = node('Cast', [codes], 'whole/Cast', { to: int(ONNX_TYPE.int32) });
  const centred = node('Sub', [whole, zero], 'Sub');
  const float = node('Cast', [centred], 'float/Cast', { to: int(ONNX_TYPE[activation]) });
  return node(
    'Mul',
    [
      emitReshape(context, float, [-1, blockCount, QUANT_BLOCK_SIZE], 'dequantise/Reshape'),
      emitReshape(context, scales, [-1, blockCount, 1], 'dequantise/scales/Reshape'),
    ],
    'Mul',
  ); // [S, nBlocks, 32]
}

function emitReshape({ graph }: DecoderContext, value: Value, dims: readonly number[], part: string): Value {
  return graph.node('Reshape', [value, graph.constant('int64', dims)], { name: `${NAME}/${part}` });
}
