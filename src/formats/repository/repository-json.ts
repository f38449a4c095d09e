/**
 * The small JSON files of a repository: the one way in which they are read.
 *
 * In: a file's bytes and its name. Out: what it holds. Guarantees: read as Python's `json` reads it (see `python-json.ts`);
 * a Git LFS pointer is called by its name; everything else that is not JSON in UTF-8 becomes the caller's error.
 */
import { LoadError } from '../../contract/errors.ts';
import { refuseLfsPointer } from './lfs-pointer.ts';
import { parsePythonJson } from './python-json.ts';
import { isJsonObject, type JsonObject } from '../tokenizer/json-object.ts';

/** A file that holds an object. @throws LoadError `config_invalid`, `lfs_pointer` */
export function readJsonObject(bytes: Uint8Array, file: string): JsonObject {
  const fault = (what: string, cause?: unknown): LoadError =>
    new LoadError('config_invalid', { message: `${file} ${what}.`, detail: { file }, cause });
  const { value } = readJson(bytes, file, (cause) => fault('is not JSON in UTF-8', cause));
  if (!isJsonObject(value)) throw fault('is not a JSON object');
  return value;
}

/** A file that holds anything. @throws LoadError `lfs_pointer`, and what `invalid` makes where it is not JSON in UTF-8 */
export function readJson(
  bytes: Uint8Array,
  file: string,
  invalid: (cause: unknown) => LoadError,
): { readonly text: string; readonly value: unknown } {
  refuseLfsPointer(bytes, file);
  try {
    // The reader sees the byte order mark, to skip one and no second one.
    const text = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
    return { text, value: parsePythonJson(text) };
  } catch (cause) {
    throw invalid(cause);
  }
}
