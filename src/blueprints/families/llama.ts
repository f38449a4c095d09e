/**
 * Llama (`model_type` llama): Llama 1 to 3.2, SmolLM2, TinyLlama and the many that borrow the architecture.
 * transformers: models/llama/configuration_llama.py, modeling_llama.py.
 */
import type { Blueprint } from '../blueprint.ts';
import { readBoolean } from '../config/config-reader.ts';
import { createDecoderBlueprint } from '../decoder-blueprint.ts';
import { readLlamaLike } from '../config/llama-like.ts';

/** @see Blueprint */
export const llama: Blueprint = createDecoderBlueprint(
  ['llama'],
  (config) => {
    const attentionBias = readBoolean(config, 'attention_bias', false);
    return readLlamaLike(config, {
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
  },
  // Configs that were made from those of other families state them.
  ['sliding_window', 'layer_types'],
);
