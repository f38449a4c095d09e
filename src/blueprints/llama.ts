/**
 * Llama (`model_type` llama): Llama 1 to 3.2, SmolLM2, TinyLlama and the many that borrow the architecture.
 * transformers: models/llama/configuration_llama.py, modeling_llama.py.
 */
import type { Blueprint } from './blueprint.ts';
import { readBoolean } from './config-reader.ts';
import { createDecoderBlueprint } from './decoder-blueprint.ts';
import { readDecoderShape } from './decoder-config.ts';

/** @see Blueprint */
export const llama: Blueprint = createDecoderBlueprint(['llama'], (config) => {
  // `pretraining_tp` changes nothing: it once had the matrices multiplied in slices, which only rounds in another order.
  const attentionBias = readBoolean(config, 'attention_bias', false);
  return readDecoderShape(config, {
    modelType: 'llama',
    qkvBias: attentionBias,
    attentionOutputBias: attentionBias,
    mlpBias: readBoolean(config, 'mlp_bias', false),
    slidingWindow: null,
    defaults: {
      vocabSize: 32_000,
      hiddenSize: 4096,
      intermediateSize: 11_008,
      layerCount: 32,
      headCount: 32,
      kvHeadCount: null,
      maxContextTokens: 2048,
    },
  });
});
