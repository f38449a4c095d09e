/**
 * What a repository is, where it is no checkpoint that can be loaded here: told by the names of its files, before anything of
 * it is read.
 *
 * In: a snapshot. Out: nothing, or an error that says what the repository is, what it lacks and what would do instead.
 */
import { LoadError } from '../../contract/errors.ts';
import type { Snapshot } from '../../contract/snapshot.ts';
import { isKnownKind, seeFormats } from '../../formats/repository/known-formats.ts';
import { readJsonObject } from '../../formats/repository/repository-json.ts';
import type { ReadAll } from './read-config.ts';
import { findFormat } from '../../formats/checkpoint-formats.ts';
import { mayBeLinks, nameSome } from '../../formats/repository/weight-files.ts';

const ADAPTER_CONFIG = 'adapter_config.json';

/** Repositories that other libraries make: a file that only they have at the top, what they are, what would do. */
const OTHER_KINDS: readonly { readonly marker: string; readonly what: string; readonly instead: string }[] = [
  {
    marker: 'model_index.json',
    what: 'a pipeline for diffusers, which makes images, video or sound of several models',
    instead: 'Load a chat model.',
  },
  {
    marker: 'modules.json',
    what: 'an encoder for sentence-transformers, which makes embeddings and no text',
    instead: 'Load the chat model that it was made from, where there is one.',
  },
];

/**
 * @throws LoadError `adapter_repository`, `unsupported_format`, `no_safetensors`, `file_not_found` (shards), and what reading
 * `adapter_config.json` throws
 */
export async function refuseOtherKinds(snapshot: Snapshot, readAll: ReadAll): Promise<void> {
  const paths = snapshot.files.map(({ path }) => path);
  const format = paths.includes('config.json') || !paths.includes(ADAPTER_CONFIG) ? findFormat(snapshot.files) : null;
  // A merged model may keep the adapter's config beside its weights; without weights of its own, it is the adapter.
  if (format === null && paths.includes(ADAPTER_CONFIG)) {
    throw adapterError(snapshot, readJsonObject(await readAll(ADAPTER_CONFIG), ADAPTER_CONFIG));
  }
  for (const { marker, what, instead } of OTHER_KINDS) {
    if (!paths.includes(marker)) continue;
    throw new LoadError('unsupported_format', {
      message: `${snapshot.modelId} is ${what} (it has a ${marker}). ${instead}`,
      detail: { modelId: snapshot.modelId, file: marker, kind: what },
    });
  }
  // Without any file of a known kind, the missing config.json is the better news.
  if (format === null && (paths.includes('config.json') || isKnownKind(paths))) {
    throw noSafetensors(snapshot, paths);
  }
}

function adapterError({ modelId }: Snapshot, config: Readonly<Record<string, unknown>>): LoadError {
  const named = config['base_model_name_or_path'];
  const base = typeof named === 'string' && named !== '' ? named : null;
  const type = typeof config['peft_type'] === 'string' ? config['peft_type'] : null;
  const which = base === null ? 'of a base model that its adapter_config.json does not name' : `of ${base}`;
  return new LoadError('adapter_repository', {
    message:
      `${modelId} is an adapter${type === null ? '' : ` (${type})`} ${which}. Load ${base ?? 'its base model'} instead, or merge ` +
      'the two once in Python: PeftModel.from_pretrained(base, adapter).merge_and_unload().save_pretrained(folder).',
    detail: { modelId, baseModel: base, adapterType: type },
  });
}

/** How the same weights come in a format that is read. */
const REMEDIES: Readonly<Record<string, string>> = {
  GGUF: 'Load the repository that the GGUF files were made from.',
  PyTorch:
    'Convert it once in Python: AutoModelForCausalLM.from_pretrained(model).save_pretrained(folder) writes safetensors.',
};

function noSafetensors({ modelId, source }: Snapshot, paths: readonly string[]): LoadError {
  const seen = seeFormats(paths);
  const [first] = seen;
  const message = first
    ? `${modelId} has its weights as ${seen.map(({ format }) => format).join(', ')} (${nameSome(first.files)}); ` +
      `model.safetensors, or shards of it, is needed. ${REMEDIES[first.format] ?? 'Load the repository that they were made from.'}`
    : `None of the ${paths.length} files of ${modelId} holds weights; model.safetensors, or shards of it, is needed.${mayBeLinks(source)}`;
  return new LoadError('no_safetensors', { message, detail: { modelId, seen } });
}
