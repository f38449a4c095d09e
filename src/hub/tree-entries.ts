/**
 * The file list of a repository, as the hub's tree API gives it, checked entry by entry. Pure.
 *
 * In: parsed JSON from a server that nobody vouches for. Out: files whose paths, sizes and hashes can be used as they
 * are. Guarantees: a path names a file below the repository and nothing else; no path twice; sizes are safe integers;
 * hashes have the right length. An entry that is not so is passed over, and never used, where no load could need it: a
 * submodule, a name with a backslash, a picture without a size. Where a load could need it, the listing ends in
 * `listing_invalid`, which says which entry.
 */
import { LoadError } from '../contract/errors.ts';
import type { ContentHash } from '../contract/snapshot.ts';
import { hasControlCharacter, quote } from './model-id.ts';

/** Models have dozens of files, checkpoints of trainers hundreds; more is an attack or a dataset. */
export const MAX_FILES = 10_000;

const MAX_PATH_LENGTH = 1_024;

/** What a load may read: weights, configs, tokenizers, chat templates. */
const LOADABLE_NAME = /\.(safetensors|json|jinja)$/;

/** One file of a listing. */
export interface ListedFile {
  readonly path: string;
  readonly sizeBytes: number;
  readonly hash: ContentHash;
}

/** Collects checked files over the pages of a listing. */
export class FileCollector {
  readonly #files = new Map<string, ListedFile>();
  readonly #names = new Set<unknown>();
  #entryCount = 0;

  /** @throws LoadError `listing_invalid` */
  addPage(json: unknown): void {
    if (!Array.isArray(json)) throw invalid('the listing is not an array', null, null);
    for (const entry of json as unknown[]) this.#add(entry);
  }

  /** In the order of arrival. */
  get files(): readonly ListedFile[] {
    return [...this.#files.values()];
  }

  /** Whether an entry of this name has come, be it one that was passed over. */
  hasSeen(path: string): boolean {
    return this.#names.has(path);
  }

  #add(entry: unknown): void {
    const index = this.#entryCount++;
    // Folders count too: they cost as much as files do.
    if (index >= MAX_FILES) throw invalid(`it has more than ${MAX_FILES} entries`, index, entry);
    if (!isRecord(entry)) return;
    const { type, path } = entry;
    this.#names.add(path);
    if (type !== 'file' || findPathFault(path) !== null) return;
    const name = path as string;
    const file = readFacts(entry, name);
    const fault = this.#files.has(name) ? 'a path is listed twice' : typeof file === 'string' ? file : null;
    if (fault !== null && LOADABLE_NAME.test(name)) throw invalid(fault, index, entry);
    if (fault === null && typeof file !== 'string') this.#files.set(name, file);
  }
}

/** What is wrong with a path from a listing; null if nothing is. */
export function findPathFault(path: unknown): string | null {
  if (typeof path !== 'string' || path === '') return 'a path is missing or empty';
  if (path.length > MAX_PATH_LENGTH) return `a path is longer than ${MAX_PATH_LENGTH} characters`;
  if (hasControlCharacter(path)) return 'a path has a control character';
  if (path.includes('\\')) return 'a path has a backslash';
  if (path.startsWith('/') || /^[A-Za-z]:/.test(path)) return 'a path is absolute';
  if (!isWellFormed(path)) return 'a path is not valid Unicode';
  for (const segment of path.split('/')) {
    if (segment === '') return 'a path has an empty segment';
    if (segment === '.' || segment === '..') return `a path has a "${segment}" segment`;
  }
  return null;
}

/** Whether `value` is a size that arithmetic can be trusted with. */
export function isSize(value: unknown): value is number {
  return typeof value === 'number' && Number.isSafeInteger(value) && value >= 0;
}

/** `listing_invalid`, naming the entry. */
export function invalid(reason: string, index: number | null, entry: unknown): LoadError {
  const path = isRecord(entry) && typeof entry['path'] === 'string' ? entry['path'] : null;
  const where = index === null ? '' : ` (entry ${index}${path === null ? '' : `, ${quote(path)}`})`;
  return new LoadError('listing_invalid', {
    message: `In it, ${reason}${where}. Nothing was downloaded.`,
    detail: { reason, index, path: path === null ? null : path.slice(0, MAX_PATH_LENGTH) },
  });
}

/** What is known of the file at `path`; in words, what is wrong with it. */
function readFacts(entry: Readonly<Record<string, unknown>>, path: string): ListedFile | string {
  const { size, oid, lfs } = entry;
  if (!isSize(size)) return 'a size is not a whole number of bytes';
  if (lfs === undefined || lfs === null) {
    if (!isHex(oid, 40)) return 'a file has no git hash';
    return { path, sizeBytes: size, hash: { algorithm: 'git-sha1', hex: oid } };
  }
  // The git hash of a large file is that of its pointer: what identifies the bytes is `lfs.oid`.
  if (!isRecord(lfs) || !isHex(lfs['oid'], 64)) return 'a large file has no sha256';
  if (lfs['size'] !== size) return 'a large file has two sizes';
  return { path, sizeBytes: size, hash: { algorithm: 'sha256', hex: lfs['oid'] } };
}

function isHex(value: unknown, digits: number): value is string {
  return typeof value === 'string' && value.length === digits && /^[0-9a-f]+$/.test(value);
}

/** Whether `value` is a JSON object. */
export function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** No lone surrogate: encodeURIComponent would throw on one. */
function isWellFormed(text: string): boolean {
  return !/[\ud800-\udfff]/u.test(text);
}
