/**
 * Qwen2 and Qwen2.5 (`model_type` qwen2): Llama with biases on q, k and v. A sliding window, where one is in use, caps the
 * context. transformers: models/qwen2/configuration_qwen2.py, modeling_qwen2.py.
 */
import type { Blueprint } from './blueprint.ts';
import { type Config, invalidConfig, readBoolean, readInteger } from './config-reader.ts';
import { createDecoderBlueprint } from './decoder-blueprint.ts';
import { type FamilyDefaults, readDecoderShape, readWindow } from './decoder-config.ts';

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
  readDecoderShape(config, {
    modelType: 'qwen2',
    qkvBias: true,
    attentionOutputBias: false,
    mlpBias: false,
    slidingWindow: readUsedWindow(config),
    defaults: DEFAULTS,
  }),
);

/** Most configs state a window and switch it off; where it is on, only layers from `max_window_layers` up have it. */
function readUsedWindow(config: Config): number | null {
  const window = readBoolean(config, 'use_sliding_window', false) ? readWindow(config, 4096) : null;
  if (window === null) return null;
  const layerTypes = config['layer_types'] ?? null;
  if (layerTypes === null) {
    const firstSliding = readInteger(config, 'max_window_layers', { min: 0, fallback: 28 });
    return firstSliding < readInteger(config, 'num_hidden_layers', { fallback: DEFAULTS.layerCount }) ? window : null;
  }
  if (!Array.isArray(layerTypes)) throw invalidConfig('layer_types', layerTypes, 'a list');
  return layerTypes.includes('sliding_attention') ? window : null;
}
