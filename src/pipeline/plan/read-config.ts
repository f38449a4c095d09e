/**
 * The JSON files of a repository that the plan reads.
 */
import { LoadError } from '../../contract/errors.ts';
import type { Snapshot, SnapshotFile } from '../../contract/snapshot.ts';

/** The whole content of a file of the snapshot. */
export type ReadAll = (path: string) => Promise<Uint8Array>;

/** A JSON object. */
export type JsonObject = Readonly<Record<string, unknown>>;

/** A config of more than this is none: real ones have a few kilobytes, and it is read whole. */
const MAX_CONFIG_BYTES = 2 ** 20;

/** The same for an index: 64 MiB name about 500,000 tensors. */
const MAX_INDEX_BYTES = 64 * 2 ** 20;

/** config.json. @throws LoadError `file_not_found`, `config_invalid` */
export async function readConfig(snapshot: Snapshot, readAll: ReadAll): Promise<JsonObject> {
  const config = await readJsonObject(snapshot, 'config.json', readAll);
  if (config) return config;
  throw new LoadError('file_not_found', {
    message: `${snapshot.modelId} has no config.json at commit ${snapshot.commit}.`,
    detail: { file: 'config.json', modelId: snapshot.modelId, commit: snapshot.commit },
  });
}

/** The bytes of a shard index, if the snapshot has it. @throws LoadError `safetensors_invalid` where it is absurdly large */
export async function readIndexBytes(file: SnapshotFile, readAll: ReadAll): Promise<Uint8Array> {
  if (file.sizeBytes <= MAX_INDEX_BYTES) return readAll(file.path);
  throw new LoadError('safetensors_invalid', {
    message: `${file.path} has ${file.sizeBytes} bytes; the limit is ${MAX_INDEX_BYTES}.`,
    detail: { reason: 'index_too_large', file: file.path, sizeBytes: file.sizeBytes, maxBytes: MAX_INDEX_BYTES },
  });
}

async function readJsonObject(snapshot: Snapshot, path: string, readAll: ReadAll): Promise<JsonObject | null> {
  const file = snapshot.files.find((candidate) => candidate.path === path);
  if (!file) return null;
  if (file.sizeBytes > MAX_CONFIG_BYTES) throw invalid(path, `has ${file.sizeBytes} bytes`);
  const bytes = await readAll(path);
  let value: unknown;
  try {
    value = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes));
  } catch (cause) {
    throw invalid(path, 'is not JSON in UTF-8', cause);
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw invalid(path, 'is not a JSON object');
  return value as JsonObject;
}

function invalid(file: string, what: string, cause?: unknown): LoadError {
  return new LoadError('config_invalid', {
    message: `${file} ${what}.`,
    detail: { file },
    ...(cause === undefined ? {} : { cause }),
  });
}
