/**
 * Qwen2 and Qwen2.5 (`model_type` qwen2): Llama with biases on q, k and v. A sliding window, where one is in use, caps the
 * context. transformers: models/qwen2/configuration_qwen2.py, modeling_qwen2.py.
 */
import type { Blueprint } from '../blueprint.ts';
import { readLlamaLike } from '../config/llama-like.ts';
import { QWEN_DEFAULTS, readUsedWindow } from '../config/qwen-like.ts';
import { createDecoderBlueprint } from '../decoder-blueprint.ts';

/** @see Blueprint */
export const qwen2: Blueprint = createDecoderBlueprint(['qwen2'], (config) =>
  readLlamaLike(config, {
    modelType: 'qwen2',
    qkvBias: true,
    attentionOutputBias: false,
    mlpBias: false,
    slidingWindow: readUsedWindow(config),
    defaults: QWEN_DEFAULTS,
  }),
);
