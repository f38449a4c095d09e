/**
 * Git LFS pointers: the small text that stands in a clone where a large file was not fetched.
 *
 * In: the first bytes of a file. Out: what the pointer says, or null for any other file; and the error that names it.
 * Specification: https://github.com/git-lfs/git-lfs/blob/main/docs/spec.md
 */
import { LoadError } from '../../contract/errors.ts';

/** A pointer is shorter than this, by its specification. */
export const MAX_LFS_POINTER_BYTES = 1024;

const FIRST_LINE = 'version https://git-lfs.github.com/spec/v1\n';

/** @throws LoadError `lfs_pointer` where `bytes`, the start of the file at `path`, are a pointer */
export function refuseLfsPointer(bytes: Uint8Array, path: string): void {
  const pointer = readLfsPointer(bytes);
  if (pointer === null) return;
  const { sha256, sizeBytes } = pointer;
  const size = sizeBytes === null ? '' : ` of ${sizeBytes} bytes`;
  throw new LoadError('lfs_pointer', {
    message:
      `${path} holds the pointer to a file${size}, not the file. Run "git lfs pull" in the clone that it comes from, ` +
      'or get the repository with "hf download".',
    detail: { path, sha256, sizeBytes },
  });
}

/** Null for any other file. What the pointer does not say is null. */
function readLfsPointer(bytes: Uint8Array): { sha256: string | null; sizeBytes: number | null } | null {
  // Git on Windows may have turned the ends of lines.
  const text = new TextDecoder().decode(bytes.subarray(0, MAX_LFS_POINTER_BYTES)).replaceAll('\r\n', '\n');
  if (!text.startsWith(FIRST_LINE)) return null;
  const size = /^size (\d{1,15})$/mu.exec(text)?.[1];
  return { sha256: /^oid sha256:([0-9a-f]{64})$/mu.exec(text)?.[1] ?? null, sizeBytes: size ? Number(size) : null };
}
