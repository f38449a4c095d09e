/**
 * Whether a checkpoint is stored quantised, as config.json says. Pure.
 *
 * In: the parsed config. Out: nothing, or an error. A quantised checkpoint has other tensors than its family's, under other
 * names; so this is known before the family reads the config, and no family has to know it.
 */
import { LoadError } from '../../contract/errors.ts';
import { isJsonObject, type JsonObject } from '../tokenizer/json-object.ts';

/** @throws LoadError `unsupported_dtype` where it is; `config_invalid` where a field that would say so is no object */
export function refuseQuantized(config: JsonObject): void {
  const mlx = readSettings(config, 'quantization');
  const settings = readSettings(config, 'quantization_config') ?? mlx;
  if (settings === null) return;
  // MLX writes no name of its method, but its settings under both fields.
  const method = settings['quant_method'] ?? (mlx === null ? 'unknown' : 'mlx');
  throw new LoadError('unsupported_dtype', {
    message:
      `config.json says that the checkpoint is already quantised (quant_method ${JSON.stringify(method)}). ` +
      'Load the original repository in bf16, f16 or f32: it is quantised here while it loads.',
    detail: { field: 'quantization_config', method },
  });
}

function readSettings(config: JsonObject, field: string): JsonObject | null {
  const value = config[field] ?? null;
  if (value === null || isJsonObject(value)) return value;
  throw new LoadError('config_invalid', {
    message: `The field ${field} of config.json says how weights are quantised and must be an object; it is none.`,
    detail: { field, expected: 'an object' },
  });
}
