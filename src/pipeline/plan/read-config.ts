/**
 * The JSON files of a repository that the plan reads.
 */
import { LoadError } from '../../contract/errors.ts';
import type { TokenizerSource } from '../../contract/plan.ts';
import type { Snapshot } from '../../contract/snapshot.ts';
import { MAX_LFS_POINTER_BYTES, refuseLfsPointer } from '../../formats/repository/lfs-pointer.ts';
import { readJsonObject } from '../../formats/repository/repository-json.ts';
import type { JsonObject } from '../../formats/tokenizer/json-object.ts';
import { listTextFiles, TEXT_PATHS } from '../../formats/repository/text-files.ts';

/** The whole content of a file of the snapshot. */
export type ReadAll = (path: string) => Promise<Uint8Array>;

const CONFIG = TEXT_PATHS.config;

/** A config of more than this is none: real ones have a few kilobytes, and it is read whole. */
const MAX_CONFIG_BYTES = 2 ** 20;

/**
 * config.json. The files that serving reads after the download are looked at, too, where they are small enough to be Git LFS
 * pointers: so that a clone without its large files is known before anything is downloaded.
 * @throws LoadError `file_not_found`, `config_invalid`, `lfs_pointer`
 */
export async function readConfig(
  snapshot: Snapshot,
  readAll: ReadAll,
  tokenizer: TokenizerSource | null,
): Promise<JsonObject> {
  const others = listTextFiles(snapshot, { tokenizer }).filter((path) => path !== CONFIG);
  const [config] = await Promise.all([readConfigFile(snapshot, readAll), refusePointers(snapshot, others, readAll)]);
  if (config) return config;
  throw new LoadError('file_not_found', {
    message: `${snapshot.modelId} has no config.json at commit ${snapshot.commit}.`,
    detail: { file: 'config.json', modelId: snapshot.modelId, commit: snapshot.commit },
  });
}

async function refusePointers({ files }: Snapshot, texts: readonly string[], readAll: ReadAll): Promise<void> {
  const small = files.filter(({ path, sizeBytes }) => texts.includes(path) && sizeBytes < MAX_LFS_POINTER_BYTES);
  await Promise.all(small.map(async ({ path }) => refuseLfsPointer(await readAll(path), path)));
}

async function readConfigFile(snapshot: Snapshot, readAll: ReadAll): Promise<JsonObject | null> {
  const file = snapshot.files.find(({ path }) => path === CONFIG);
  if (!file) return null;
  if (file.sizeBytes > MAX_CONFIG_BYTES) {
    throw new LoadError('config_invalid', {
      message: `${CONFIG} has ${file.sizeBytes} bytes; the limit is ${MAX_CONFIG_BYTES}.`,
      detail: { file: CONFIG, sizeBytes: file.sizeBytes, maxBytes: MAX_CONFIG_BYTES },
    });
  }
  return readJsonObject(await readAll(CONFIG), CONFIG);
}
