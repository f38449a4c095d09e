/**
 * Qwen3 (`model_type` qwen3): Llama with a norm of each head's query and key, and heads whose size is stated.
 * transformers: models/qwen3/configuration_qwen3.py, modeling_qwen3.py.
 */
import type { Blueprint } from '../blueprint.ts';
import { readBoolean } from '../config/config-reader.ts';
import { readLlamaLike } from '../config/llama-like.ts';
import { QWEN_DEFAULTS, readUsedWindow } from '../config/qwen-like.ts';
import { createDecoderBlueprint } from '../decoder-blueprint.ts';

/** @see Blueprint */
export const qwen3: Blueprint = createDecoderBlueprint(['qwen3'], (config) => {
  const attentionBias = readBoolean(config, 'attention_bias', false);
  return readLlamaLike(config, {
    modelType: 'qwen3',
    qkvBias: attentionBias,
    attentionOutputBias: attentionBias,
    mlpBias: false,
    hasQueryKeyNorm: true,
    slidingWindow: readUsedWindow(config),
    defaults: { ...QWEN_DEFAULTS, headDim: 128 },
  });
});
