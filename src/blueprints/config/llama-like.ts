/**
 * The part of config.json that all Llama-like decoders share: config.json → {@link DecoderSpec}.
 *
 * In: the parsed config, and what the family decides for itself (biases, window, defaults). Out: a decoder whose graph can
 * be built. Guarantees: what our graph or onnxruntime's GroupQueryAttention cannot do is refused here, before anything is
 * downloaded.
 */
import type { DecoderSpec, LayerSpec, NormSpec } from '../../contract/decoder-spec.ts';
import {
  type Config,
  invalidConfig,
  readBoolean,
  readInteger,
  readNonNegative,
  unsupportedConfig,
} from './config-reader.ts';
import { readRotary } from '../rotary/rotary.ts';

/** What a family adds to the shared fields. */
export interface FamilyTraits {
  readonly modelType: string;
  readonly qkvBias: boolean;
  readonly attentionOutputBias: boolean;
  readonly mlpBias: boolean;
  /** Whether each head's query and key are normalised; no, where it is left out. */
  readonly hasQueryKeyNorm?: boolean;
  /** Tokens that a layer sees, itself included; null where every layer sees all. */
  readonly slidingWindow: number | null;
  readonly defaults: FamilyDefaults;
}

/** What transformers' configuration class of the family says where a config is silent. */
export interface FamilyDefaults {
  readonly vocabSize: number;
  readonly hiddenSize: number;
  readonly intermediateSize: number;
  readonly layerCount: number;
  readonly headCount: number;
  /** Null: as many as heads. */
  readonly kvHeadCount: number | null;
  readonly maxContextTokens: number;
  /** Left out: hidden_size over the number of heads. */
  readonly headDim?: number;
}

/**
 * onnxruntime's GroupQueryAttention with rotary embedding refuses a head size that is no multiple of 16
 * (group_query_attention_helper.h: `head_size % 16 == 0`): heads of other sizes are padded with zeros.
 */
const HEAD_DIM_MULTIPLE = 16;

/** All layers turn by the same frequencies. */
const ROTARY = 'rotary';

/** @throws LoadError `config_invalid`, `unsupported_architecture` */
export function readLlamaLike(config: Config, traits: FamilyTraits): DecoderSpec {
  const { defaults } = traits;
  const activation = config['hidden_act'] ?? 'silu';
  if (activation !== 'silu' && activation !== 'swish')
    throw unsupportedConfig('hidden_act', activation, 'silu (swish)');

  const hiddenSize = readInteger(config, 'hidden_size', { fallback: defaults.hiddenSize });
  const headCount = readInteger(config, 'num_attention_heads', { fallback: defaults.headCount });
  const headDim = readHeadDim(config, hiddenSize, headCount, defaults.headDim ?? null);
  const paddedHeadDim = Math.ceil(headDim / HEAD_DIM_MULTIPLE) * HEAD_DIM_MULTIPLE;
  const kvHeadCount = readKvHeadCount(config, headCount, defaults.kvHeadCount);
  const statedContext = readInteger(config, 'max_position_embeddings', { fallback: defaults.maxContextTokens });
  const norm: NormSpec = { epsilon: readNonNegative(config, 'rms_norm_eps', 1e-6) };
  if (traits.hasQueryKeyNorm && paddedHeadDim !== headDim) {
    throw unsupportedConfig('head_dim', headDim, `a multiple of ${HEAD_DIM_MULTIPLE}, where heads are normalised`);
  }
  const layer: LayerSpec = {
    mixer: {
      headCount,
      kvHeadCount,
      headDim,
      paddedHeadDim,
      rotary: ROTARY,
      queryKeyNorm: traits.hasQueryKeyNorm ? norm : null,
      biases: { qkv: traits.qkvBias, output: traits.attentionOutputBias },
    },
    feedForward: {
      size: readInteger(config, 'intermediate_size', { fallback: defaults.intermediateSize }),
      bias: traits.mlpBias,
    },
    norm,
  };
  const layerCount = readInteger(config, 'num_hidden_layers', { fallback: defaults.layerCount });
  return {
    modelType: traits.modelType,
    vocabSize: readInteger(config, 'vocab_size', { fallback: defaults.vocabSize }),
    hiddenSize,
    layers: Array.from({ length: layerCount }, () => layer),
    norm,
    head: { tied: readBoolean(config, 'tie_word_embeddings', false) },
    rotary: { [ROTARY]: { headDim, paddedHeadDim, ...readRotary(config, statedContext) } },
    // Within the window, sliding attention is full attention: so a window shortens the context instead of the answer.
    maxContextTokens: Math.min(statedContext, traits.slidingWindow ?? statedContext),
  };
}

/**
 * Tokens that a layer sees, itself included; null where it sees all, which a config says with null or with 0. `fallback` is
 * transformers' default of the family, for a config that does not mention it.
 */
export function readWindow(config: Config, fallback: number): number | null {
  const isOff = config['sliding_window'] === null || config['sliding_window'] === 0;
  return isOff ? null : readInteger(config, 'sliding_window', { fallback });
}

function readKvHeadCount(config: Config, headCount: number, familyDefault: number | null): number {
  // An explicit null means "as many as heads"; an absent field means the family's default.
  const absent = config['num_key_value_heads'] === undefined;
  const fallback = absent ? (familyDefault ?? headCount) : headCount;
  const kvHeadCount = readInteger(config, 'num_key_value_heads', { fallback });
  if (headCount % kvHeadCount !== 0) {
    throw invalidConfig('num_key_value_heads', kvHeadCount, `a divisor of num_attention_heads, ${headCount}`);
  }
  return kvHeadCount;
}

function readHeadDim(config: Config, hiddenSize: number, headCount: number, familyDefault: number | null): number {
  // As with the heads of keys and values: null means the division, and absence the family's default.
  const stated = config['head_dim'] === undefined ? familyDefault : config['head_dim'];
  if (stated === null && hiddenSize % headCount !== 0) {
    throw invalidConfig('hidden_size', hiddenSize, `a multiple of num_attention_heads, ${headCount}`);
  }
  const headDim = readInteger({ head_dim: stated }, 'head_dim', { fallback: hiddenSize / headCount });
  if (headDim % 2 !== 0) throw unsupportedConfig('head_dim', headDim, 'an even number: rotary positions turn pairs');
  return headDim;
}
