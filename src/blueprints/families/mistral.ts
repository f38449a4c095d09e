/**
 * Mistral (`model_type` mistral), with full attention: a sliding window caps the context instead, since within it both
 * are the same. transformers: models/mistral/configuration_mistral.py, modeling_mistral.py.
 */
import type { Blueprint } from '../blueprint.ts';
import { createDecoderBlueprint } from '../decoder-blueprint.ts';
import { readLlamaLike, readWindow } from '../config/llama-like.ts';

/** @see Blueprint */
export const mistral: Blueprint = createDecoderBlueprint(
  ['mistral'],
  (config) =>
    readLlamaLike(config, {
      modelType: 'mistral',
      qkvBias: false,
      attentionOutputBias: false,
      mlpBias: false,
      slidingWindow: readWindow(config, 4096),
      defaults: {
        vocabSize: 32_000,
        hiddenSize: 4096,
        intermediateSize: 14_336,
        layerCount: 32,
        headCount: 32,
        kvHeadCount: 8,
        maxContextTokens: 131_072,
      },
    }),
  ['layer_types'],
);
