/**
 * The graph of a Llama-like decoder: {@link GraphRequest} → ONNX bytes with no weights in them.
 *
 * Graph inputs, for layers [start, end):
 *   input_ids               int64 [1, S]                                   first layers only
 *   hidden_states           float32 [S, hidden]                            all but the first layers
 *   past_key_values.{i}.*   activation type [1, KV, past_length, paddedHeadDim]
 *   seqlens_k               int32 [1]: tokens in the sequence, new ones included, less one
 *   total_sequence_length   int32 [1]: tokens in the sequence
 *   and each weight tensor that is used, where weights are bound as inputs.
 * Graph outputs:
 *   present.{i}.*           activation type [1, KV, present_length, paddedHeadDim]
 *   logits                  float32 [1, vocab], of the last position       last layers only
 *   hidden_states_out       float32 [S, hidden]                            all but the last layers
 *
 * Guarantees: the same graph serves a static cache (past and present are one buffer of full capacity) and a growing one.
 */
import { assert } from '../base/assert.ts';
import { GRAPH_IO } from '../contract/graph-io.ts';
import { GraphBuilder } from '../onnx/graph-builder.ts';
import { type AttentionInputs, emitAttention } from './attention.ts';
import type { GraphRequest } from './blueprint.ts';
import { emitWiden } from './cast.ts';
import type { DecoderContext, ResidualStream } from './decoder-context.ts';
import { emitEmbedding } from './embedding.ts';
import { createGraphWeights } from './graph-weights.ts';
import { emitHead } from './head.ts';
import { emitMlp } from './mlp.ts';
import { emitNorm } from './norm.ts';

/** Builds the graph of a range of layers; all of them make a whole model. */
export function buildDecoderGraph(request: GraphRequest): Uint8Array<ArrayBuffer> {
  const { shape, activationType, layers, binding, isInner = false } = request;
  assert(layers.start >= 0 && layers.start < layers.end && layers.end <= shape.layerCount, 'no such range of layers');
  const graph = new GraphBuilder();
  const weights = createGraphWeights(graph, request);
  const context: DecoderContext = {
    graph,
    shape,
    weights,
    activation: activationType,
    provider: binding === 'inputs' ? 'webgpu' : 'cpu',
  };

  let stream = layers.start === 0 && !isInner ? emitTokens(context) : emitStart(context);
  const attention: AttentionInputs = {
    seqlensK: graph.input(GRAPH_IO.seqlensK, 'int32', [1]),
    totalSequenceLength: graph.input(GRAPH_IO.totalSequenceLength, 'int32', [1]),
    rotaryCos: weights.values('rotary.cos'),
    rotarySin: weights.values('rotary.sin'),
  };
  for (let layer = layers.start; layer < layers.end; layer++) stream = emitLayer(context, stream, layer, attention);

  if (layers.end === shape.layerCount && !isInner) emitHead(context, stream);
  else emitEnd(context, stream);
  return graph.build(`${shape.modelType} layers ${layers.start} to ${layers.end}`);
}

/**
 * Emits one decoder layer.
 *
 * ```
 *   stream ─► norm ─► attention ─► norm ─► feed-forward ─► stream
 *               └── residual ────► + └── residual ───────► + (added by the next norm)
 * ```
 */
function emitLayer(
  context: DecoderContext,
  stream: ResidualStream,
  layer: number,
  attention: AttentionInputs,
): ResidualStream {
  const name = `/model/layers.${layer}`;
  const before = emitNorm(context, stream, { name: `${name}/input_layernorm`, weight: `layers.${layer}.attn_norm` });
  const attended = emitAttention(context, before.normed, layer, attention); // [S, hidden]
  const between = emitNorm(
    context,
    { residual: before.residual, update: attended },
    { name: `${name}/post_attention_layernorm`, weight: `layers.${layer}.mlp_norm` },
  );
  return { residual: between.residual, update: emitMlp(context, between.normed, layer) };
}

function emitTokens(context: DecoderContext): ResidualStream {
  const ids = context.graph.input(GRAPH_IO.inputIds, 'int64', [1, 'sequence_length']);
  const rows = emitEmbedding(context, ids);
  return { residual: emitWiden(context, rows, '/model/embed_tokens/Cast'), update: null };
}

function emitStart({ graph, shape }: DecoderContext): ResidualStream {
  return {
    residual: graph.input(GRAPH_IO.hiddenStates, 'float32', ['sequence_length', shape.hiddenSize]),
    update: null,
  };
}

function emitEnd(context: DecoderContext, { residual, update }: ResidualStream): void {
  const { graph, shape } = context;
  const name = '/model/hidden_states_out';
  assert(update, 'a layer ends with an update');
  const sum = graph.node('Add', [residual, emitWiden(context, update, `${name}/Cast`)], {
    name: `${name}/Add`,
    output: GRAPH_IO.hiddenStatesOut,
  });
  graph.output(sum, 'float32', ['sequence_length', shape.hiddenSize]);
}
