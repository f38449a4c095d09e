/**
 * The graph of a decoder: {@link GraphRequest} → ONNX bytes with no weights in them.
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
import { type AttentionInputs, emitAttention } from './parts/attention.ts';
import type { GraphRequest } from './blueprint.ts';
import { emitWiden } from './parts/cast.ts';
import type { DecoderContext, ResidualStream } from './parts/decoder-context.ts';
import { emitEmbedding } from './parts/embedding.ts';
import { createGraphWeights } from './parts/graph-weights.ts';
import { emitHead } from './parts/head.ts';
import { emitGated } from './parts/gated.ts';
import { emitNorm } from './parts/norm.ts';
import { type LayerNames, nameLayer } from './parts/weight-specs.ts';
import { layerNorms } from './decoder-weights.ts';
import { rotaryWeights } from './rotary/rotary-tables.ts';
import type { DecoderSpec, LayerSpec } from '../contract/decoder-spec.ts';

/** Builds the graph of some layers; all of them, with embedding and head, make a whole model. */
export function buildDecoderGraph(request: GraphRequest): Uint8Array<ArrayBuffer> {
  const { spec, activationType, layers, binding, hasEmbedding, hasHead } = request;
  const [first, last] = [layers[0], layers.at(-1)];
  assert(first !== undefined && last !== undefined, 'a graph has a layer');
  const graph = new GraphBuilder();
  const weights = createGraphWeights(graph, request);
  const context: DecoderContext = {
    graph,
    spec,
    weights,
    activation: activationType,
    provider: binding === 'inputs' ? 'webgpu' : 'cpu',
  };

  let stream = hasEmbedding ? emitTokens(context) : emitStart(context);
  const attention: AttentionInputs = {
    seqlensK: graph.input(GRAPH_IO.seqlensK, 'int32', [1]),
    totalSequenceLength: graph.input(GRAPH_IO.totalSequenceLength, 'int32', [1]),
    rotary: new Map(
      Object.keys(spec.rotary).map((name) => {
        const { cos, sin } = rotaryWeights(spec, name, 0);
        return [name, { cos: weights.values(cos.name), sin: weights.values(sin.name) }];
      }),
    ),
  };
  for (const index of layers) {
    const layer = spec.layers[index];
    assert(layer, `the model has no layer ${index}`);
    stream = emitLayer(context, stream, layer, nameLayer(index), attention);
  }

  if (hasHead) emitHead(context, stream);
  else emitEnd(context, stream);
  return graph.build(`${spec.modelType} layers ${first} to ${last + 1}`);
}

/** The first layer of each kind: between them, they have every kind of node that the model's layers have. */
export function listLayerKinds({ layers }: Pick<DecoderSpec, 'layers'>): readonly number[] {
  const kinds = new Map<string, number>();
  for (const [index, layer] of layers.entries()) {
    const kind = JSON.stringify(layer);
    if (!kinds.has(kind)) kinds.set(kind, index);
  }
  return [...kinds.values()];
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
  layer: LayerSpec,
  at: LayerNames,
  attention: AttentionInputs,
): ResidualStream {
  const { norm, mixer, feedForward } = layer;
  const weights = layerNorms(context.spec.hiddenSize, at);
  const before = emitNorm(context, stream, { name: `${at.node}/input_layernorm`, weight: weights.mixer, norm });
  const attended = emitAttention(context, before.normed, mixer, at, attention); // [S, hidden]
  const between = emitNorm(
    context,
    { residual: before.residual, update: attended },
    { name: `${at.node}/post_attention_layernorm`, weight: weights.feedForward, norm },
  );
  return { residual: between.residual, update: emitGated(context, between.normed, feedForward, at) };
}

function emitTokens(context: DecoderContext): ResidualStream {
  const ids = context.graph.input(GRAPH_IO.inputIds, 'int64', [1, 'sequence_length']);
  const rows = emitEmbedding(context, ids);
  return { residual: emitWiden(context, rows, '/model/embed_tokens/Cast'), update: null };
}

function emitStart({ graph, spec }: DecoderContext): ResidualStream {
  const dims = ['sequence_length', spec.hiddenSize];
  return { residual: graph.input(GRAPH_IO.hiddenStates, 'float32', dims), update: null };
}

function emitEnd(context: DecoderContext, { residual, update }: ResidualStream): void {
  const { graph, spec } = context;
  const name = '/model/hidden_states_out';
  assert(update, 'a layer ends with an update');
  const sum = graph.node('Add', [residual, emitWiden(context, update, `${name}/Cast`)], {
    name: `${name}/Add`,
    output: GRAPH_IO.hiddenStatesOut,
  });
  graph.output(sum, 'float32', ['sequence_length', spec.hiddenSize]);
}
