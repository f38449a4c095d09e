/**
 * Every weight and every cache of a decoder, in graph order. Each part says its own; here they are put one behind the other.
 *
 * Guarantees: names are unique and stable (`layers.3.attn.qkv`); shapes are those that transformers' modelling code gives the
 * tensors ([out, in] for matrices).
 */
import type { CacheSpec } from '../contract/caches.ts';
import type { DecoderSpec, LayerSpec } from '../contract/decoder-spec.ts';
import type { WeightSpec } from './blueprint.ts';
import { attentionCaches, attentionWeights } from './parts/attention.ts';
import { embeddingWeight } from './parts/embedding.ts';
import { gatedWeights } from './parts/gated.ts';
import { headWeights } from './parts/head.ts';
import type { LinearWeights } from './parts/linear.ts';
import { normWeight } from './parts/norm.ts';
import { type LayerNames, nameLayer } from './parts/weight-specs.ts';
import { rotaryWeights } from './rotary/rotary-tables.ts';

/** Lists the weights; the rotary tables have `contextTokens` rows. */
export function listDecoderWeights(spec: DecoderSpec, contextTokens: number): readonly WeightSpec[] {
  const tables = Object.keys(spec.rotary).map((name) => rotaryWeights(spec, name, contextTokens));
  const { norm, matrix } = headWeights(spec);
  return [
    embeddingWeight(spec),
    ...tables.flatMap(({ cos, sin }) => [cos, sin]),
    ...spec.layers.flatMap((layer, index) => listLayer(spec, layer, nameLayer(index))),
    norm,
    ...(matrix ? [matrix] : []),
  ];
}

/** Lists what is kept from run to run; `type` is that of the activations. */
export function listDecoderCaches(spec: DecoderSpec, type: CacheSpec['type']): readonly CacheSpec[] {
  return spec.layers.flatMap(({ mixer }, layer) => attentionCaches(mixer, layer, type));
}

/** The norms of one layer. */
export function layerNorms(
  hiddenSize: number,
  { layer, ours, theirs }: LayerNames,
): { readonly mixer: WeightSpec; readonly feedForward: WeightSpec } {
  return {
    mixer: normWeight({ name: `${ours}.attn_norm`, layer }, `${theirs}.input_layernorm`, hiddenSize),
    feedForward: normWeight({ name: `${ours}.mlp_norm`, layer }, `${theirs}.post_attention_layernorm`, hiddenSize),
  };
}

function listLayer({ hiddenSize }: DecoderSpec, layer: LayerSpec, at: LayerNames): readonly WeightSpec[] {
  const norms = layerNorms(hiddenSize, at);
  const { qkv, queryKeyNorm, output } = attentionWeights(layer.mixer, hiddenSize, at);
  const { gate, up, down } = gatedWeights(layer.feedForward, hiddenSize, at);
  return [
    norms.mixer,
    ...listLinear(qkv),
    ...(queryKeyNorm ? [queryKeyNorm.query, queryKeyNorm.key] : []),
    ...listLinear(output),
    norms.feedForward,
    ...[gate, up, down].flatMap(listLinear),
  ];
}

function listLinear({ weight, bias }: LinearWeights): readonly WeightSpec[] {
  return bias ? [weight, bias] : [weight];
}
