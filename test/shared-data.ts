/**
 * Real files of other people's models, which are no part of this project. They lie in a folder beside the checkout where there
 * is one; a test that wants them is skipped elsewhere, and says so.
 */
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

const SHARED_DATA = new URL('../../shared/data/', import.meta.url);

/** A file or folder of the shared data (a folder's path ends in a slash). */
export function sharedData(path: string): URL {
  return new URL(path, SHARED_DATA);
}

/** True where it is not on this machine; prints that what needs it is skipped. For `describe.skipIf` and `it.skipIf`. */
export function isAbsent(url: URL): boolean {
  if (existsSync(url)) return false;
  console.warn(`SKIPPED: ${fileURLToPath(url)} is absent`);
  return true;
}
