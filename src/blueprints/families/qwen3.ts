/**
 * Qwen3 (`model_type` qwen3): Llama with a norm of each head's query and key, and heads whose size is stated.
 * transformers: models/qwen3/configuration_qwen3.py, modeling_qwen3.py.
 */
import type { Blueprint } from '../blueprint.ts';
import { readBoolean } from '../config/config-reader.ts';
import { readLlamaLike, readUsedWindow } from '../config/llama-like.ts';
import { createDecoderBlueprint } from '../decoder-blueprint.ts';

/** @see Blueprint */
export const qwen3: Blueprint = createDecoderBlueprint(['qwen3'], (config) => {
  const attentionBias = readBoolean(config, 'attention_bias', false);
  const defaults = {
    vocabSize: 151_936,
    hiddenSize: 4096,
    intermediateSize: 22_016,
    layerCount: 32,
    headCount: 32,
    kvHeadCount: 32,
    headDim: 128,
    maxContextTokens: 32_768,
  };
  return readLlamaLike(config, {
    modelType: 'qwen3',
    qkvBias: attentionBias,
    attentionOutputBias: attentionBias,
    mlpBias: false,
    hasQueryKeyNorm: true,
    hasWindows: true,
    slidingWindow: readUsedWindow(config, defaults.layerCount),
    defaults,
  });
});
