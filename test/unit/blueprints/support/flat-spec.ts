/**
 * A decoder whose layers are all alike, as one list of fields: what tests state and compare.
 */
import type { DecoderSpec, LayerSpec } from '../../../../src/contract/decoder-spec.ts';

export interface FlatSpec {
  readonly modelType: string;
  readonly vocabSize: number;
  readonly hiddenSize: number;
  readonly intermediateSize: number;
  readonly layerCount: number;
  readonly headCount: number;
  readonly kvHeadCount: number;
  readonly headDim: number;
  readonly paddedHeadDim: number;
  readonly rmsNormEpsilon: number;
  readonly tiedEmbeddings: boolean;
  readonly qkvBias: boolean;
  readonly attentionOutputBias: boolean;
  readonly mlpBias: boolean;
  readonly hasQueryKeyNorm: boolean;
  readonly rotary: Pick<DecoderSpec['rotary'][string], 'theta' | 'scaling'>;
  readonly maxContextTokens: number;
}

export function flatten(spec: DecoderSpec): FlatSpec {
  const [layer] = spec.layers;
  const [rotary] = Object.values(spec.rotary);
  if (!layer || !rotary || spec.layers.some((other) => JSON.stringify(other) !== JSON.stringify(layer))) {
    throw new Error('the layers are not alike');
  }
  const { mixer, feedForward, norm } = layer;
  return {
    modelType: spec.modelType,
    vocabSize: spec.vocabSize,
    hiddenSize: spec.hiddenSize,
    intermediateSize: feedForward.size,
    layerCount: spec.layers.length,
    headCount: mixer.headCount,
    kvHeadCount: mixer.kvHeadCount,
    headDim: mixer.headDim,
    paddedHeadDim: mixer.paddedHeadDim,
    rmsNormEpsilon: norm.epsilon,
    tiedEmbeddings: spec.head.tied,
    qkvBias: mixer.biases.qkv,
    attentionOutputBias: mixer.biases.output,
    mlpBias: feedForward.bias,
    hasQueryKeyNorm: mixer.queryKeyNorm !== null,
    rotary: { theta: rotary.theta, scaling: rotary.scaling },
    maxContextTokens: spec.maxContextTokens,
  };
}

export function unflatten(flat: FlatSpec): DecoderSpec {
  const { headDim, paddedHeadDim } = flat;
  const norm = { epsilon: flat.rmsNormEpsilon };
  const layer: LayerSpec = {
    mixer: {
      headCount: flat.headCount,
      kvHeadCount: flat.kvHeadCount,
      headDim,
      paddedHeadDim,
      rotary: 'rotary',
      queryKeyNorm: flat.hasQueryKeyNorm ? norm : null,
      biases: { qkv: flat.qkvBias, output: flat.attentionOutputBias },
    },
    feedForward: { size: flat.intermediateSize, bias: flat.mlpBias },
    norm,
  };
  return {
    modelType: flat.modelType,
    vocabSize: flat.vocabSize,
    hiddenSize: flat.hiddenSize,
    layers: Array.from({ length: flat.layerCount }, () => layer),
    norm,
    head: { tied: flat.tiedEmbeddings },
    rotary: { rotary: { headDim, paddedHeadDim, ...flat.rotary } },
    maxContextTokens: flat.maxContextTokens,
  };
}

/** All layers, from token ids to logits. */
export function wholeModel(spec: DecoderSpec): { layers: readonly number[]; hasEmbedding: true; hasHead: true } {
  return { layers: [...spec.layers.keys()], hasEmbedding: true, hasHead: true };
}
