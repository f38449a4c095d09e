/**
 * Qwen2 and Qwen2.5 (`model_type` qwen2): Llama with biases on q, k and v. A sliding window, where one is in use, caps the
 * context. transformers: models/qwen2/configuration_qwen2.py, modeling_qwen2.py.
 */
import type { Blueprint } from '../blueprint.ts';
import { createDecoderBlueprint } from '../decoder-blueprint.ts';
import { type FamilyDefaults, readLlamaLike, readUsedWindow } from '../config/llama-like.ts';

const DEFAULTS: FamilyDefaults = {
  vocabSize: 151_936,
  hiddenSize: 4096,
  intermediateSize: 22_016,
  layerCount: 32,
  headCount: 32,
  kvHeadCount: 32,
  maxContextTokens: 32_768,
};

/** @see Blueprint */
export const qwen2: Blueprint = createDecoderBlueprint(['qwen2'], (config) =>
  readLlamaLike(config, {
    modelType: 'qwen2',
    qkvBias: true,
    attentionOutputBias: false,
    mlpBias: false,
    hasWindows: true,
    slidingWindow: readUsedWindow(config, DEFAULTS.layerCount),
    defaults: DEFAULTS,
  }),
);
