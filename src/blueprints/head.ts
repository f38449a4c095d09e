/**
 * The last hidden states → logits of the last position.
 */
import { GRAPH_IO } from '../contract/graph-io.ts';
import { emitWiden } from './cast.ts';
import type { DecoderContext, ResidualStream } from './decoder-context.ts';
import { emitLinear } from './linear.ts';
import { emitNorm } from './norm.ts';

/** Larger than any sequence, and an int32: "to the end". */
const TO_END = 2 ** 31 - 1;

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
  const { graph, shape, activation } = context;
  const { normed } = emitNorm(context, stream, { name: '/model/norm', weight: 'norm' }); // [S, hidden]
  const last = graph.node(
    'Slice',
    [normed, graph.constant('int64', [-1]), graph.constant('int64', [TO_END]), graph.constant('int64', [0])],
    {
      name: '/lm_head/last_position/Slice',
    },
  ); // [1, hidden]

  const head = { name: '/lm_head', weight: shape.tiedEmbeddings ? 'embed' : 'lm_head', bias: false };
  const logits =
    activation === 'float32'
      ? emitLinear(context, last, { ...head, output: GRAPH_IO.logits })
      : emitWiden(context, emitLinear(context, last, head), '/lm_head/Cast', GRAPH_IO.logits);
  graph.output(logits, 'float32', [1, shape.vocabSize]);
}
