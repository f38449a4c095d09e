/**
 * Qwen2 and Qwen2.5 (`model_type` qwen2): Llama with biases on q, k and v. A sliding window, where one is in use, caps the
 * context. transformers: models/qwen2/configuration_qwen2.py, modeling_qwen2.py.
 */
import type { Blueprint } from './blueprint.ts';
import { type Config, invalidConfig, readBoolean, readInteger } from './config-reader.ts';
import { createDecoderBlueprint } from './decoder-blueprint.ts';
import { readDecoderShape } from './decoder-config.ts';

/** @see Blueprint */
export const qwen2: Blueprint = createDecoderBlueprint(['qwen2'], (config) =>
  readDecoderShape(config, {
    modelType: 'qwen2',
    qkvBias: true,
    attentionOutputBias: false,
    mlpBias: false,
    slidingWindow: readWindow(config),
    defaults: { maxContextTokens: 32_768, kvHeadCount: 32 },
  }),
);

/** Most configs state a window and switch it off; where it is on, only layers from `max_window_layers` up have it. */
function readWindow(config: Config): number | null {
  if (!readBoolean(config, 'use_sliding_window', false) || config['sliding_window'] === null) return null;
  const window = readInteger(config, 'sliding_window', { fallback: 4096 });
  const layerTypes = config['layer_types'] ?? null;
  if (layerTypes === null) {
    const firstSliding = readInteger(config, 'max_window_layers', { min: 0, fallback: 28 });
    return firstSliding < readInteger(config, 'num_hidden_layers') ? window : null;
  }
  if (!Array.isArray(layerTypes)) throw invalidConfig('layer_types', layerTypes, 'a list');
  return layerTypes.includes('sliding_attention') ? window : null;
}
