/**
 * Grouped-query attention (arXiv:2305.13245) with rotary positions and a KV cache: its weights, its caches, and its nodes.
 */
import { assert } from '../../base/assert.ts';
import type { CacheSpec } from '../../contract/caches.ts';
import type { AttentionSpec } from '../../contract/decoder-spec.ts';
import { nameCache } from '../../contract/graph-io.ts';
import type { Gaps } from '../../contract/plan.ts';
import { type Attribute, float, int, MICROSOFT_DOMAIN, type Value } from '../../onnx/graph-builder.ts';
import type { WeightSpec } from '../blueprint.ts';
import type { DecoderContext } from './decoder-context.ts';
import { emitLinear, type LinearWeights, linearWeights } from './linear.ts';
import { type LayerNames, vector } from './weight-specs.ts';

/** In graph order. */
export interface AttentionWeights {
  readonly qkv: LinearWeights;
  readonly queryKeyNorm: { readonly query: WeightSpec; readonly key: WeightSpec } | null;
  readonly output: LinearWeights;
}

/** The weights of one layer's attention. q, k and v are one matrix, which the kernel splits. */
export function attentionWeights(spec: AttentionSpec, hiddenSize: number, at: LayerNames): AttentionWeights {
  const { headCount, kvHeadCount, headDim, biases } = spec;
  const { halves, whole } = padHeads(spec);
  const ours = `${at.ours}.attn`;
  const theirs = `${at.theirs}.self_attn`;
  const [queryRows, keyRows] = [headCount * headDim, kvHeadCount * headDim];
  const headNorm = (name: string, module: string): WeightSpec =>
    vector({ name: `${ours}.${name}`, layer: at.layer }, 'headNorm', [
      { tensor: `${theirs}.${module}.weight`, shape: [headDim] },
    ]);
  return {
    qkv: linearWeights(
      { name: `${ours}.qkv`, layer: at.layer },
      [
        { module: `${theirs}.q_proj`, rows: queryRows, rowGaps: halves },
        { module: `${theirs}.k_proj`, rows: keyRows, rowGaps: halves },
        { module: `${theirs}.v_proj`, rows: keyRows, rowGaps: whole },
      ],
      { cols: hiddenSize, bias: biases.qkv },
    ),
    queryKeyNorm: spec.queryKeyNorm && { query: headNorm('q_norm', 'q_norm'), key: headNorm('k_norm', 'k_norm') },
    output: linearWeights({ name: `${ours}.o`, layer: at.layer }, [{ module: `${theirs}.o_proj`, rows: hiddenSize }], {
      cols: queryRows,
      bias: biases.output,
      colGaps: whole,
    }),
  };
}

/** Keys and values, [1, KV, tokens, paddedHeadDim] each. */
export function attentionCaches(spec: AttentionSpec, layer: number, type: CacheSpec['type']): readonly CacheSpec[] {
  return (['key', 'value'] as const).map((part) => ({
    layer,
    kind: 'kv',
    ...nameCache(layer, part),
    type,
    dims: [1, spec.kvHeadCount, null, spec.paddedHeadDim],
    windowTokens: null,
    canRewind: true,
  }));
}

/** What the attention of all layers shares. */
export interface AttentionInputs {
  /** Tokens in the sequence less one, per batch row: int32 [1]. */
  readonly seqlensK: Value;
  /** Tokens in the sequence: int32 [1]. */
  readonly totalSequenceLength: Value;
  /** Cosines and sines, [context, paddedHeadDim / 2] each, by the name of the rotary embedding. */
  readonly rotary: ReadonlyMap<string, { readonly cos: Value; readonly sin: Value }>;
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
 * present are the same buffer (static cache). Where they are not, present is past with the new tokens appended. Where heads are
 * normalised they are split before the kernel: see {@link emitNormedHeads}.
 */
export function emitAttention(
  context: DecoderContext,
  x: Value,
  spec: AttentionSpec,
  at: LayerNames,
  inputs: AttentionInputs,
): Value {
  const { graph, activation } = context;
  const { headCount, kvHeadCount, headDim, paddedHeadDim } = spec;
  const name = `${at.node}/attn`;
  const weights = attentionWeights(spec, context.spec.hiddenSize, at);
  const cacheDims = (length: string) => [1, kvHeadCount, length, paddedHeadDim];

  const [keys, values] = [nameCache(at.layer, 'key'), nameCache(at.layer, 'value')];
  const pastKey = graph.input(keys.past, activation, cacheDims('past_length'));
  const pastValue = graph.input(values.past, activation, cacheDims('past_length'));

  const qkv = emitLinear(context, x, { name: `${name}/qkv_proj`, ...weights.qkv });
  const heads = weights.queryKeyNorm
    ? emitNormedHeads(context, qkv, spec, weights.queryKeyNorm, name)
    : { inputs: [emitPacked(context, qkv, spec, name), null, null] as const, kernelNorms: [], attributes: {} };
  const tables = inputs.rotary.get(spec.rotary);
  assert(tables, `the model has no rotary embedding ${spec.rotary}`);

  const [attended, presentKey, presentValue] = graph.nodeWithOutputs(
    'GroupQueryAttention',
    [
      ...heads.inputs,
      pastKey,
      pastValue,
      inputs.seqlensK,
      inputs.totalSequenceLength,
      tables.cos,
      tables.sin,
      ...heads.kernelNorms,
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
        ...heads.attributes,
      },
    },
  ); // [1, S, H · paddedHeadDim], [1, KV, present_length, paddedHeadDim] twice
  graph.output(presentKey, activation, cacheDims('present_length'));
  graph.output(presentValue, activation, cacheDims('present_length'));

  const flatShape = graph.constant('int64', [-1, headCount * paddedHeadDim]);
  const flat = graph.node('Reshape', [attended, flatShape], { name: `${name}/unpack/Reshape` }); // [S, H · paddedHeadDim]
  return emitLinear(context, flat, { name: `${name}/o_proj`, ...weights.output }); // [S, hidden]
}

function emitPacked({ graph }: DecoderContext, qkv: Value, spec: AttentionSpec, name: string): Value {
  const packedShape = graph.constant('int64', [1, -1, (spec.headCount + 2 * spec.kvHeadCount) * spec.paddedHeadDim]);
  return graph.node('Reshape', [qkv, packedShape], { name: `${name}/pack/Reshape` }); // [1, S, (H + 2 KV) · paddedHeadDim]
}

/** What the kernel takes for queries, keys and values where they are normalised by head. */
interface Heads {
  readonly inputs: readonly [query: Value, key: Value | null, value: Value | null];
  /** Inputs behind the rotary tables: five that are not used, and the weights of the norms. */
  readonly kernelNorms: readonly (Value | null)[];
  readonly attributes: Readonly<Record<string, Attribute>>;
}

/**
 * Queries, keys and values apart, with a norm of each head's query and key. On WebGPU the attention kernel has the norms itself
 * (split queries, keys and values only); the CPU provider refuses them there, so that they are written out:
 *
 * ```
 *   qkv ─► Split ─┬─► q ─► Reshape [S · H, headDim] ─► SimplifiedLayerNormalization ─► Reshape [1, S, H · headDim]
 *                 ├─► k ─► the same over KV heads
 *                 └─► v ─► Reshape [1, S, KV · headDim]
 * ```
 */
function emitNormedHeads(
  context: DecoderContext,
  qkv: Value,
  spec: AttentionSpec,
  norms: NonNullable<AttentionWeights['queryKeyNorm']>,
  name: string,
): Heads {
  const { graph, weights, provider } = context;
  const { headCount, kvHeadCount, headDim } = spec;
  const epsilon = float(spec.queryKeyNorm?.epsilon ?? 0);
  const widths = [headCount * headDim, kvHeadCount * headDim, kvHeadCount * headDim] as const;
  const [query, key, value] = graph.nodeWithOutputs(
    'Split',
    [qkv, graph.constant('int64', widths)],
    [`${name}/Split/output_0`, `${name}/Split/output_1`, `${name}/Split/output_2`],
    { name: `${name}/Split`, attributes: { axis: int(1) } },
  );
  const reshape = (input: Value, dims: readonly number[], step: string): Value =>
    graph.node('Reshape', [input, graph.constant('int64', dims)], { name: `${name}/${step}/Reshape` });
  const [queryWeight, keyWeight] = [weights.values(norms.query.name), weights.values(norms.key.name)]; // [headDim]
  if (provider === 'webgpu') {
    return {
      inputs: [
        reshape(query, [1, -1, widths[0]], 'query'),
        reshape(key, [1, -1, widths[1]], 'key'),
        reshape(value, [1, -1, widths[2]], 'value'),
      ],
      kernelNorms: [null, null, null, null, null, queryWeight, keyWeight],
      attributes: { qk_norm_epsilon: epsilon },
    };
  }
  const norm = (input: Value, weight: Value, width: number, step: string): Value => {
    const normed = graph.node(
      'SimplifiedLayerNormalization',
      [reshape(input, [-1, headDim], `${step}/heads`), weight],
      {
        name: `${name}/${step}/LayerNorm`,
        attributes: { axis: int(-1), epsilon, stash_type: int(1) },
      },
    );
    return reshape(normed, [1, -1, width], step);
  };
  return {
    inputs: [
      norm(query, queryWeight, widths[0], 'query'),
      norm(key, keyWeight, widths[1], 'key'),
      reshape(value, [1, -1, widths[2]], 'value'),
    ],
    kernelNorms: [],
    attributes: {},
  };
}

/**
 * Where the zeros of padded heads lie. Added channels that are zero in queries and keys leave every product as it is; in values
 * they come out as zeros, which columns of zeros in the output matrix take. Queries and keys are turned in pairs, channel i with
 * channel i + half of the head, so that each half of theirs has its own zeros:
 *
 * ```
 *   query, key   [ first half | 0 ][ second half | 0 ]
 *   value        [ all of the head              | 0 0 ]
 * ```
 */
function padHeads({ headDim, paddedHeadDim }: AttentionSpec): { halves: Gaps | null; whole: Gaps | null } {
  const zeros = paddedHeadDim - headDim;
  if (zeros === 0) return { halves: null, whole: null };
  return { halves: { run: headDim / 2, zeros: zeros / 2 }, whole: { run: headDim, zeros } };
}
