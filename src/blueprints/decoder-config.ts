/**
 * The part of config.json that all Llama-like decoders share: config.json → {@link DecoderShape}.
 *
 * In: the parsed config, and what the family decides for itself (biases, window, defaults). Out: a shape whose graph can
 * be built. Guarantees: what our graph or onnxruntime's GroupQueryAttention cannot do is refused here, before anything is
 * downloaded.
 */
import { LoadError } from '../contract/errors.ts';
import type { DecoderShape } from '../contract/plan.ts';
import {
  type Config,
  invalidConfig,
  readBoolean,
  readInteger,
  readObject,
  readPositive,
  unsupportedConfig,
} from './config-reader.ts';
import { readRotary } from './rotary.ts';

/** What a family adds to the shared fields. */
export interface FamilyTraits {
  readonly modelType: string;
  readonly qkvBias: boolean;
  readonly attentionOutputBias: boolean;
  readonly mlpBias: boolean;
  /** Tokens that a layer sees, itself included; null where every layer sees all. */
  readonly slidingWindow: number | null;
  /** transformers' defaults of this family, for fields that a config may leave out. */
  readonly defaults: { readonly maxContextTokens: number; readonly kvHeadCount: number | null };
}

/**
 * onnxruntime's GroupQueryAttention with rotary embedding refuses a head size that is no multiple of 16
 * (group_query_attention_helper.h: `head_size % 16 == 0`).
 */
const HEAD_DIM_MULTIPLE = 16;

/** @throws LoadError `config_invalid`, `unsupported_architecture`, `unsupported_dtype` */
export function readDecoderShape(config: Config, traits: FamilyTraits): DecoderShape {
  refuseQuantized(config);
  const activation = config['hidden_act'] ?? 'silu';
  if (activation !== 'silu') throw unsupportedConfig('hidden_act', activation, 'silu');

  const hiddenSize = readInteger(config, 'hidden_size');
  const headCount = readInteger(config, 'num_attention_heads');
  const kvHeadCount = readKvHeadCount(config, headCount, traits.defaults.kvHeadCount);
  const statedContext = readInteger(config, 'max_position_embeddings', { fallback: traits.defaults.maxContextTokens });
  return {
    modelType: traits.modelType,
    vocabSize: readInteger(config, 'vocab_size'),
    hiddenSize,
    intermediateSize: readInteger(config, 'intermediate_size'),
    layerCount: readInteger(config, 'num_hidden_layers'),
    headCount,
    kvHeadCount,
    headDim: readHeadDim(config, hiddenSize, headCount),
    rmsNormEpsilon: readPositive(config, 'rms_norm_eps', 1e-6),
    tiedEmbeddings: readBoolean(config, 'tie_word_embeddings', false),
    qkvBias: traits.qkvBias,
    attentionOutputBias: traits.attentionOutputBias,
    mlpBias: traits.mlpBias,
    rotary: readRotary(config, statedContext),
    // Within the window, sliding attention is full attention: so a window shortens the context instead of the answer.
    maxContextTokens: Math.min(statedContext, traits.slidingWindow ?? statedContext),
  };
}

function refuseQuantized(config: Config): void {
  const quantization = readObject(config, 'quantization_config') ?? readObject(config, 'quantization');
  if (quantization === null) return;
  const method = quantization['quant_method'] ?? 'unknown';
  throw new LoadError('unsupported_dtype', {
    message:
      `config.json says that the checkpoint is already quantised (quant_method ${JSON.stringify(method)}). ` +
      'Load the original repository in bf16, f16 or f32: it is quantised here while it loads.',
    detail: { field: 'quantization_config', method },
  });
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

function readHeadDim(config: Config, hiddenSize: number, headCount: number): number {
  const stated = config['head_dim'] ?? null;
  if (stated === null && hiddenSize % headCount !== 0) {
    throw invalidConfig('hidden_size', hiddenSize, `a multiple of num_attention_heads, ${headCount}`);
  }
  const headDim = readInteger(config, 'head_dim', { fallback: hiddenSize / headCount });
  if (headDim % HEAD_DIM_MULTIPLE !== 0) {
    throw unsupportedConfig('head_dim', headDim, `a multiple of ${HEAD_DIM_MULTIPLE} (onnxruntime's attention kernel)`);
  }
  return headDim;
}
