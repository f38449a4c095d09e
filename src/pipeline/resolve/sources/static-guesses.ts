/**
 * Names to ask a static server for, where the usual ones are not there. Pure.
 *
 * A server that lists nothing can only be asked name by name. These are asked for only where a load would fail otherwise: to find
 * weights under another usual name, or to say what the repository is instead.
 */
import { INDEX_FILE, VARIANTS } from '../../../formats/repository/weight-files.ts';

/** At the top of a repository without a config.json: what says that it is no model by itself. */
export const OTHER_CONFIGS: readonly string[] = ['adapter_config.json', 'model_index.json'];

/** A set of more shards than this is not guessed: each guess is a request. */
const MAX_GUESSED_SHARDS = 32;

/** Weights that can be loaded: in a variant, or in shards whose index is lost. Of a set of shards, its first. */
export const OTHER_WEIGHTS: readonly string[] = [
  ...VARIANTS.flatMap((variant) => [`model.${variant}.safetensors`, INDEX_FILE.replace('.json', `.${variant}.json`)]),
  ...Array.from({ length: MAX_GUESSED_SHARDS }, (_, index) => nameShard(1, index + 1)),
];

/** Weights that cannot be loaded. */
export const OTHER_FORMATS: readonly string[] = [
  'adapter_config.json',
  'modules.json',
  'pytorch_model.bin',
  'pytorch_model.bin.index.json',
  'tf_model.h5',
  'flax_model.msgpack',
  'onnx/model.onnx',
  'model.onnx',
  'consolidated.safetensors',
];

/** Whether a name is that of the first shard of a set. */
export function isFirstShard(path: string): boolean {
  return path.startsWith('model-00001-of-');
}

/** The set that a shard belongs to; itself where it belongs to none. */
export function completeSet(path: string): readonly string[] {
  const digits = /^model-\d{5}-of-(\d{5})\.safetensors$/.exec(path)?.[1];
  return digits === undefined
    ? [path]
    : Array.from({ length: Number(digits) }, (_, i) => nameShard(i + 1, Number(digits)));
}

function nameShard(number: number, count: number): string {
  const pad = (value: number): string => String(value).padStart(5, '0');
  return `model-${pad(number)}-of-${pad(count)}.safetensors`;
}
