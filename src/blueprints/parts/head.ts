/**
 * The last hidden states → logits of the last position.
 */
import { GRAPH_IO } from '../../contract/graph-io.ts';
import type { DecoderSpec } from '../../contract/decoder-spec.ts';
import type { WeightSpec } from '../blueprint.ts';
import { emitWiden } from './cast.ts';
import type { DecoderContext, ResidualStream } from './decoder-context.ts';
import { emitLinear } from './linear.ts';
import { embeddingWeight } from './embedding.ts';
import { emitNorm, normWeight } from './norm.ts';
import { HEAD_TENSOR, matrix } from './weight-specs.ts';

/** Larger than any sequence, and an int32: "to the end". */
const TO_END = 2 ** 31 - 1;

/** The last norm, and the head's own matrix; null where it is tied to the embedding. */
export function headWeights({ vocabSize, hiddenSize, head }: DecoderSpec): {
  readonly norm: WeightSpec;
  readonly matrix: WeightSpec | null;
} {
  const source = { tensor: HEAD_TENSOR, shape: [vocabSize, hiddenSize] };
  return {
    norm: normWeight({ name: 'norm', layer: null }, 'model.norm', hiddenSize),
    matrix: head.tied ? null : matrix({ name: 'lm_head', layer: null }, 'lmHead', hiddenSize, [source]),
  };
}

/**
 * Emits the final norm and the head, and declares `logits`.
 *
 * ```
 *   stream ─► norm ─► Slice(last row) ─► linear ─► (Cast) ─► logits [1, vocab] float32
 * ```
 *
 * Only the last position reaches the vocabulary: a prompt of 4,096 tokens would otherwise bring back 2.5 GB of logits at a
 * vocabulary of 152 k. The slice stands behind the norm, not before it, because the norm's kernel also adds the last
 * update: one small copy instead of two.
 */
export function emitHead(context: DecoderContext, stream: ResidualStream): void {
  const { graph, spec, activation } = context;
  const weights = headWeights(spec);
  const { normed } = emitNorm(context, stream, { name: '/model/norm', weight: weights.norm, norm: spec.norm }); // [S, hidden]
  const last = graph.node(
    'Slice',
    [normed, graph.constant('int64', [-1]), graph.constant('int64', [TO_END]), graph.constant('int64', [0])],
    {
      name: '/lm_head/last_position/Slice',
    },
  ); // [1, hidden]

  const head = { name: '/lm_head', weight: weights.matrix ?? embeddingWeight(spec), bias: null };
  const logits =
    activation === 'float32'
      ? emitLinear(context, last, { ...head, output: GRAPH_IO.logits })
      : emitWiden(context, emitLinear(context, last, head), '/lm_head/Cast', GRAPH_IO.logits);
  graph.output(logits, 'float32', [1, spec.vocabSize]);
}
