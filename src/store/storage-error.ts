/**
 * What the browser's storage throws → our codes.
 */
import { isLoadError, LoadError } from '../contract/errors.ts';

/** `error` as a LoadError: `quota_exceeded`, `storage_unavailable` or `storage_failed`, saying `where` it happened. */
export function toStorageError(error: unknown, where: string): LoadError {
  if (isLoadError(error)) return error;
  const name = error instanceof Error ? error.name : '';
  if (name === 'QuotaExceededError') {
    return new LoadError('quota_exceeded', { message: `${where}: the browser refused more bytes.`, cause: error });
  }
  if (name === 'SecurityError' || name === 'InvalidStateError' || name === 'NotSupportedError' || isDenied(error)) {
    return storageUnavailable(where, error);
  }
  return new LoadError('storage_failed', { message: `${where}: ${String(error)}`, retryable: true, cause: error });
}

/** The error for a browser, or a kind of window, that gives the page no files. */
export function storageUnavailable(where: string, cause?: unknown): LoadError {
  return new LoadError('storage_unavailable', {
    message:
      `${where} cannot be used here. Private windows and blocked site data take it away, and it needs https or ` +
      'localhost: open the page in an ordinary window, over https, with site data allowed.',
    cause,
    detail: { where },
  });
}

/** Chromium 156, where site data is blocked: "UnknownError: The user denied permission to access the database." */
function isDenied(error: unknown): boolean {
  return error instanceof Error && error.name === 'UnknownError' && /denied permission/iu.test(error.message);
}

/** Whether `error` says that the disk or the quota is full. */
export function isQuotaError(error: unknown): boolean {
  return (
    (error instanceof Error && error.name === 'QuotaExceededError') ||
    (isLoadError(error) && error.code === 'quota_exceeded')
  );
}

/** Whether the browser gives the page no storage, or no more of it: what a load can do without. */
export function isStorageShortage(error: unknown): error is LoadError {
  return isLoadError(error) && (error.code === 'storage_unavailable' || error.code === 'quota_exceeded');
}
