/**
 * What the Qwen families share beyond Llama: their defaults, and a sliding window that most configs state and switch off.
 */
import { type Config, invalidConfig, readBoolean, readInteger, unsupportedConfig } from './config-reader.ts';
import { type FamilyDefaults, readWindow } from './llama-like.ts';

/** transformers: models/qwen2/configuration_qwen2.py, models/qwen3/configuration_qwen3.py. */
export const QWEN_DEFAULTS: FamilyDefaults = {
  vocabSize: 151_936,
  hiddenSize: 4096,
  intermediateSize: 22_016,
  layerCount: 32,
  headCount: 32,
  kvHeadCount: 32,
  maxContextTokens: 32_768,
};

/** The window, where one is in use: null where no layer has it. Where it is on, only layers from `max_window_layers` up do. */
export function readUsedWindow(config: Config): number | null {
  // All four are read in any case: what they say of a window that is off is understood, too.
  const isUsed = readBoolean(config, 'use_sliding_window', false);
  const window = readWindow(config, 4096);
  const firstSliding = readInteger(config, 'max_window_layers', { min: 0, fallback: 28 });
  const layerTypes = readLayerTypes(config);
  if (!isUsed || window === null) return null;
  if (layerTypes !== null) return layerTypes.includes('sliding_attention') ? window : null;
  return firstSliding < readInteger(config, 'num_hidden_layers', { fallback: QWEN_DEFAULTS.layerCount })
    ? window
    : null;
}

const LAYER_TYPES: readonly unknown[] = ['full_attention', 'sliding_attention'];

/** What each layer's attention sees, where a config says so (transformers 5 writes it for every model). */
function readLayerTypes(config: Config): readonly unknown[] | null {
  const layerTypes = config['layer_types'] ?? null;
  if (layerTypes === null) return null;
  if (!Array.isArray(layerTypes)) throw invalidConfig('layer_types', layerTypes, 'a list');
  const other = (layerTypes as unknown[]).find((type) => !LAYER_TYPES.includes(type));
  if (other !== undefined) throw unsupportedConfig('layer_types', other, LAYER_TYPES.join(', '));
  return layerTypes as readonly unknown[];
}
