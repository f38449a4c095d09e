/**
 * What a failed read of a local file means.
 *
 * In: what the platform threw. Out: a LoadError with `detail.reason`: gone, permission_denied or unreadable.
 */
import { LoadError } from '../../../contract/errors.ts';

/** `storage_failed` for `what` (a path, or the folder in words). */
export function describeReadFailure(what: string, cause: unknown): LoadError {
  const name = cause instanceof Error ? cause.name : '';
  const [reason, words] =
    name === 'NotFoundError'
      ? ['gone', 'is not there any more: it was moved, renamed or deleted']
      : name === 'NotAllowedError' || name === 'SecurityError'
        ? ['permission_denied', 'may not be read: choose the folder again and allow this page to view its files']
        : ['unreadable', 'could not be read'];
  return new LoadError('storage_failed', { message: `${what} ${words}.`, detail: { path: what, reason }, cause });
}

/** `file_changed` for a path: it is not the file any more that was listed. */
export function fileChanged(path: string, what: string, retryable: boolean, cause?: unknown): LoadError {
  return new LoadError('file_changed', { message: `${path} ${what}.`, retryable, detail: { path }, cause });
}
