/**
 * Every weight of a Llama-like decoder, in graph order, and the checkpoint tensors that it is made from.
 *
 * In: a shape. Out: {@link WeightSpec}s. Guarantees: names are unique and stable (`layers.3.attn.qkv`), shapes are those
 * that transformers' modelling code gives the tensors ([out, in] for matrices).
 */
import type { DecoderShape, Gaps } from '../contract/plan.ts';
import { countSpread } from '../base/gaps.ts';
import type { SourceSpec, WeightRole, WeightSpec } from './blueprint.ts';

/** Lists the weights; the rotary tables have `contextTokens` rows. */
export function listDecoderWeights(shape: DecoderShape, contextTokens: number): readonly WeightSpec[] {
  const { vocabSize, hiddenSize, layerCount, tiedEmbeddings } = shape;
  const embedding = { tensor: 'model.embed_tokens.weight', shape: [vocabSize, hiddenSize] };
  const head = { tensor: 'lm_head.weight', shape: [vocabSize, hiddenSize] };
  const table = { role: 'rotary', rows: contextTokens, cols: shape.paddedHeadDim / 2, sources: [] } as const;
  return [
    tiedEmbeddings
      ? matrix('embed', 'tiedEmbedding', hiddenSize, [{ ...embedding, orElse: head.tensor }])
      : matrix('embed', 'embedding', hiddenSize, [embedding]),
    { name: 'rotary.cos', ...table, computed: 'rotary-cos', layer: null },
    { name: 'rotary.sin', ...table, computed: 'rotary-sin', layer: null },
    ...Array.from({ length: layerCount }, (_, layer) =>
      listLayer(shape, layer).map((spec) => ({ ...spec, layer })),
    ).flat(),
    vector('norm', 'norm', [{ tensor: 'model.norm.weight', shape: [hiddenSize] }]),
    ...(tiedEmbeddings ? [] : [matrix('lm_head', 'lmHead', hiddenSize, [head])]),
  ];
}

function listLayer(shape: DecoderShape, layer: number): readonly WeightSpec[] {
  const { hiddenSize, intermediateSize, headDim } = shape;
  const queryRows = shape.headCount * headDim;
  const keyRows = shape.kvHeadCount * headDim;
  const heads = padHeads(shape);
  const ours = `layers.${layer}`;
  const theirs = `model.layers.${layer}`;

  const projection = (
    name: string,
    parts: readonly Projection[],
    cols: number,
    bias: boolean,
    colGaps: Gaps | null = null,
  ): WeightSpec[] => [
    matrix(
      `${ours}.${name}`,
      'matmul',
      countSpread(colGaps, cols),
      parts.map(({ module, rows, rowGaps = null }) => ({
        tensor: `${theirs}.${module}.weight`,
        shape: [rows, cols],
        ...(rowGaps || colGaps ? { padding: { rows: rowGaps, cols: colGaps } } : {}),
      })),
    ),
    ...(bias
      ? [
          vector(
            `${ours}.${name}.bias`,
            'bias',
            parts.map(({ module, rows, rowGaps = null }) => ({
              tensor: `${theirs}.${module}.bias`,
              shape: [rows],
              ...(rowGaps ? { padding: { rows: rowGaps, cols: null } } : {}),
            })),
          ),
        ]
      : []),
  ];
  const norm = (name: string, module: string): WeightSpec =>
    vector(`${ours}.${name}`, 'norm', [{ tensor: `${theirs}.${module}.weight`, shape: [hiddenSize] }]);

  return [
    norm('attn_norm', 'input_layernorm'),
    ...projection(
      'attn.qkv',
      [
        { module: 'self_attn.q_proj', rows: queryRows, rowGaps: heads.halves },
        { module: 'self_attn.k_proj', rows: keyRows, rowGaps: heads.halves },
        { module: 'self_attn.v_proj', rows: keyRows, rowGaps: heads.whole },
      ],
      hiddenSize,
      shape.qkvBias,
    ),
    ...projection(
      'attn.o',
      [{ module: 'self_attn.o_proj', rows: hiddenSize }],
      queryRows,
      shape.attentionOutputBias,
      heads.whole,
    ),
    norm('mlp_norm', 'post_attention_layernorm'),
    ...projection('mlp.gate', [{ module: 'mlp.gate_proj', rows: intermediateSize }], hiddenSize, shape.mlpBias),
    ...projection('mlp.up', [{ module: 'mlp.up_proj', rows: intermediateSize }], hiddenSize, shape.mlpBias),
    ...projection('mlp.down', [{ module: 'mlp.down_proj', rows: hiddenSize }], intermediateSize, shape.mlpBias),
  ];
}

/** A linear layer of the checkpoint and the number of its outputs. */
interface Projection {
  readonly module: string;
  readonly rows: number;
  readonly rowGaps?: Gaps | null;
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
function padHeads({ headDim, paddedHeadDim }: DecoderShape): { halves: Gaps | null; whole: Gaps | null } {
  const zeros = paddedHeadDim - headDim;
  if (zeros === 0) return { halves: null, whole: null };
  return { halves: { run: headDim / 2, zeros: zeros / 2 }, whole: { run: headDim, zeros } };
}

function matrix(name: string, role: WeightRole, cols: number, sources: readonly SourceSpec[]): WeightSpec {
  return { name, role, rows: sumFirstDims(sources), cols, sources, computed: null, layer: null };
}

function vector(name: string, role: WeightRole, sources: readonly SourceSpec[]): WeightSpec {
  return { name, role, rows: 1, cols: sumFirstDims(sources), sources, computed: null, layer: null };
}

function sumFirstDims(sources: readonly SourceSpec[]): number {
  return sources.reduce((sum, { shape, padding }) => sum + countSpread(padding?.rows ?? null, shape[0] ?? 0), 0);
}
