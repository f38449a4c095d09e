/**
 * Which file an error of the fetch stage is about.
 */
import { fromErrorData, toErrorData } from '../../contract/errors.ts';
import type { LoadError } from '../../contract/errors.ts';

/** The error with the file's name in it, if nothing has named it yet. */
export function nameFile(error: unknown, path: string): LoadError {
  const data = toErrorData(error);
  const message = data.message.includes(path) ? data.message : `${data.message} (${path})`;
  return fromErrorData({ ...data, message, stage: 'fetch', detail: { path, ...data.detail } });
}
