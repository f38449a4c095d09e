/**
 * Llama (`model_type` llama): Llama 1 to 3.2, SmolLM2, TinyLlama and the many that borrow the architecture.
 * transformers: models/llama/configuration_llama.py, modeling_llama.py.
 */
import type { Blueprint } from './blueprint.ts';
import { readBoolean, unsupportedConfig } from './config-reader.ts';
import { createDecoderBlueprint } from './decoder-blueprint.ts';
import { readDecoderShape } from './decoder-config.ts';

/** @see Blueprint */
export const llama: Blueprint = createDecoderBlueprint(['llama'], (config) => {
  const parallel = config['pretraining_tp'] ?? 1;
  // Above 1 the matrices were summed in slices, in an order of rounding that transformers itself no longer follows.
  if (parallel !== 1) throw unsupportedConfig('pretraining_tp', parallel, '1');
  const attentionBias = readBoolean(config, 'attention_bias', false);
  return readDecoderShape(config, {
    modelType: 'llama',
    qkvBias: attentionBias,
    attentionOutputBias: attentionBias,
    mlpBias: readBoolean(config, 'mlp_bias', false),
    slidingWindow: null,
    defaults: { maxContextTokens: 2048, kvHeadCount: null },
  });
});
