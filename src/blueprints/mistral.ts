/**
 * Mistral (`model_type` mistral), with full attention: a sliding window caps the context instead, since within it both
 * are the same. transformers: models/mistral/configuration_mistral.py, modeling_mistral.py.
 */
import type { Blueprint } from './blueprint.ts';
import { type Config, readInteger } from './config-reader.ts';
import { createDecoderBlueprint } from './decoder-blueprint.ts';
import { readDecoderShape } from './decoder-config.ts';

/** @see Blueprint */
export const mistral: Blueprint = createDecoderBlueprint(['mistral'], (config) =>
  readDecoderShape(config, {
    modelType: 'mistral',
    qkvBias: false,
    attentionOutputBias: false,
    mlpBias: false,
    slidingWindow: readWindow(config),
    defaults: { maxContextTokens: 131_072, kvHeadCount: 8 },
  }),
);

function readWindow(config: Config): number | null {
  // null switches the window off; a config that does not mention it gets transformers' default.
  return config['sliding_window'] === null ? null : readInteger(config, 'sliding_window', { fallback: 4096 });
}
