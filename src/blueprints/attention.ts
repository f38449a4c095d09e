/**
 * Grouped-query attention (arXiv:2305.13245) with rotary positions and a KV cache.
 */
import { nameCache } from '../contract/graph-io.ts';
import { float, int, MICROSOFT_DOMAIN, type Value } from '../onnx/graph-builder.ts';
import type { DecoderContext } from './decoder-context.ts';
import { emitLinear } from './linear.ts';

/** What all layers' attention shares. */
export interface AttentionInputs {
  /** Tokens in the sequence less one, per batch row: int32 [1]. */
  readonly seqlensK: Value;
  /** Tokens in the sequence: int32 [1]. */
  readonly totalSequenceLength: Value;
  readonly rotaryCos: Value; // [context, paddedHeadDim / 2]
  readonly rotarySin: Value; // [context, paddedHeadDim / 2]
}

/**
 * Emits one layer's attention; declares its past as graph inputs and its present as graph outputs.
 *
 * ```
 *   x ─► qkv ─► Reshape ─► GroupQueryAttention ─► Reshape ─► o ─► [S, hidden]
 *                             ▲       │    ▲
 *        past key, value ─────┘       │    └─ cos, sin, lengths
 *                                     └─► present key, value
 * ```
 *
 * q, k and v stay packed in one matrix, which the kernel splits, rotates and copies into the cache in one go where past and
 * present are the same buffer (static cache). Where they are not, present is past with the new tokens appended.
 */
export function emitAttention(context: DecoderContext, x: Value, layer: number, inputs: AttentionInputs): Value {
  const { graph, shape, activation } = context;
  const { headCount, kvHeadCount, headDim, paddedHeadDim } = shape;
  const name = `/model/layers.${layer}/attn`;
  const weight = `layers.${layer}.attn`;
  const cacheDims = (length: string) => [1, kvHeadCount, length, paddedHeadDim];

  const [keys, values] = [nameCache(layer, 'key'), nameCache(layer, 'value')];
  const pastKey = graph.input(keys.past, activation, cacheDims('past_length'));
  const pastValue = graph.input(values.past, activation, cacheDims('past_length'));

  const qkv = emitLinear(context, x, { name: `${name}/qkv_proj`, weight: `${weight}.qkv`, bias: shape.qkvBias });
  const packedShape = graph.constant('int64', [1, -1, (headCount + 2 * kvHeadCount) * paddedHeadDim]);
  const packed = graph.node('Reshape', [qkv, packedShape], { name: `${name}/pack/Reshape` }); // [1, S, (H + 2 KV) · paddedHeadDim]

  const [attended, presentKey, presentValue] = graph.nodeWithOutputs(
    'GroupQueryAttention',
    [
      packed,
      null, // key and value are in the packed matrix
      null,
      pastKey,
      pastValue,
      inputs.seqlensK,
      inputs.totalSequenceLength,
      inputs.rotaryCos,
      inputs.rotarySin,
    ],
    [`${name}/GroupQueryAttention/output_0`, keys.present, values.present],
    {
      name: `${name}/GroupQueryAttention`,
      domain: MICROSOFT_DOMAIN,
      attributes: {
        num_heads: int(headCount),
        kv_num_heads: int(kvHeadCount),
        do_rotary: int(1),
        // Left out, it goes by the size of the head that the kernel sees.
        ...(headDim === paddedHeadDim ? {} : { scale: float(1 / Math.sqrt(headDim)) }),
      },
    },
  ); // [1, S, H · paddedHeadDim], [1, KV, present_length, paddedHeadDim] twice
  graph.output(presentKey, activation, cacheDims('present_length'));
  graph.output(presentValue, activation, cacheDims('present_length'));

  const flatShape = graph.constant('int64', [-1, headCount * paddedHeadDim]);
  const flat = graph.node('Reshape', [attended, flatShape], { name: `${name}/unpack/Reshape` }); // [S, H · paddedHeadDim]
  return emitLinear(context, flat, {
    name: `${name}/o_proj`,
    weight: `${weight}.o`,
    bias: shape.attentionOutputBias,
  }); // [S, hidden]
}
