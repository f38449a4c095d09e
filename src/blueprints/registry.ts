/**
 * Which model families can be loaded: `model_type` → {@link Blueprint}. A new family is one file and one line here.
 */
import { LoadError } from '../contract/errors.ts';
import type { Blueprint } from './blueprint.ts';
import { type Config, invalidConfig } from './config/config-reader.ts';
import { llama } from './families/llama.ts';
import { mistral } from './families/mistral.ts';
import { findHead, findKind } from './config/model-kind.ts';
import { qwen2 } from './families/qwen2.ts';
import { qwen3 } from './families/qwen3.ts';

const BLUEPRINTS: readonly Blueprint[] = [llama, mistral, qwen2, qwen3];

/**
 * The blueprint that serves this config.json. A decoder with another head than a language model's is refused: it would load, and
 * answer nonsense.
 * @throws LoadError `config_invalid`, `unsupported_architecture`
 */
export function findBlueprint(config: Config): Blueprint {
  const modelType = config['model_type'];
  if (typeof modelType !== 'string' || modelType === '') {
    throw invalidConfig(
      'model_type',
      modelType,
      `the name of a model type, such as ${supportedModelTypes().join(', ')}`,
    );
  }
  const blueprint = BLUEPRINTS.find(({ modelTypes }) => modelTypes.includes(modelType));
  const kind = blueprint ? findHead(config) : findKind(config);
  if (blueprint && !kind) return blueprint;
  const supported = supportedModelTypes();
  throw new LoadError('unsupported_architecture', {
    message: blueprint
      ? `${JSON.stringify(config['architectures'])} is ${kind}. Load the chat model that it was made from.`
      : `model_type is ${JSON.stringify(modelType)}; supported are ${supported.join(', ')}.` +
        (kind === null ? '' : ` It is ${kind}. Load a chat model of a supported model type.`),
    detail: { modelType, architectures: config['architectures'] ?? null, supported },
  });
}

/** Every `model_type` that {@link findBlueprint} knows. */
export function supportedModelTypes(): readonly string[] {
  return BLUEPRINTS.flatMap(({ modelTypes }) => modelTypes);
}
