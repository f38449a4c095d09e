/**
 * `model.safetensors.index.json`: which shard holds which tensor.
 *
 * In: the file's bytes. Out: the shards, sorted, and the map tensor → shard.
 * Guarantees: every shard path is relative, inside the repository and ends in `.safetensors`; nothing else is believed.
 * Whether the shards exist, and hold what is claimed, is for the caller, who has the snapshot and the headers.
 */
import { findDuplicateKey } from '../json-keys.ts';
import { readJson } from '../repository/repository-json.ts';
import { safetensorsInvalid } from './safetensors-fault.ts';

/** The index of a sharded checkpoint. */
export interface WeightsIndex {
  /** Distinct shard paths, sorted, as the index names them. */
  readonly shards: readonly string[];
  readonly shardByTensor: ReadonlyMap<string, string>;
}

/**
 * Parses an index file.
 * @throws LoadError `lfs_pointer`; `safetensors_invalid`, reason `index_not_json`, `index_invalid`, `index_duplicate_name`,
 * `index_path`
 */
export function parseWeightsIndex(bytes: Uint8Array, file: string): WeightsIndex {
  const { text, value } = readJson(bytes, file, (cause) =>
    safetensorsInvalid('index_not_json', file, 'It is not JSON in UTF-8.', {}, cause),
  );
  const weightMap: unknown = typeof value === 'object' && value !== null && 'weight_map' in value && value.weight_map;
  if (typeof weightMap !== 'object' || weightMap === null || Array.isArray(weightMap)) {
    throw safetensorsInvalid('index_invalid', file, 'It has no weight_map object.', {});
  }
  const duplicate = findDuplicateKey(text);
  if (duplicate !== null) {
    throw safetensorsInvalid('index_duplicate_name', file, `It holds "${duplicate}" twice.`, { name: duplicate });
  }
  const shardByTensor = new Map<string, string>();
  for (const [tensor, path] of Object.entries(weightMap)) {
    if (typeof path !== 'string') {
      throw safetensorsInvalid('index_invalid', file, `"${tensor}" names no file.`, { tensor });
    }
    if (!isShardPath(path)) {
      throw safetensorsInvalid('index_path', file, `"${tensor}" is said to be in ${JSON.stringify(path)}.`, {
        tensor,
        path,
      });
    }
    shardByTensor.set(tensor, path);
  }
  if (shardByTensor.size === 0) throw safetensorsInvalid('index_invalid', file, 'Its weight_map is empty.', {});
  return { shards: [...new Set(shardByTensor.values())].sort(), shardByTensor };
}

function isShardPath(path: string): boolean {
  return (
    path.endsWith('.safetensors') &&
    !path.includes('\\') &&
    path.split('/').every((segment) => segment !== '' && segment !== '.' && segment !== '..')
  );
}
