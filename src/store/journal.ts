/**
 * The journal of a half-written blob: which bytes are on disk, and how far they are hashed.
 *
 * In: what IndexedDB gave back (`unknown`: another version of this page may have written it) and the real size of the
 * partial file. Out: a journal that describes bytes that are certainly there. Pure.
 * The rule it stands on: bytes are written and flushed first and journalled after, so a journal may know less than the
 * disk holds, never more. Where it does claim more (a lost or truncated file) it is cut back to what is there.
 */
import type { ContentHash } from '../contract/snapshot.ts';
import { addInterval, contiguousEnd } from './intervals.ts';
import type { Interval } from './intervals.ts';

/** State of a streaming hash after `hashedBytes` bytes from the start of the file. */
export interface HashState {
  readonly hashedBytes: number;
  readonly state: Uint8Array;
}

/** What is recorded of a half-written blob. */
export interface Journal {
  readonly sizeBytes: number;
  /** The validator that the server gave with these bytes; null where it gave none or a weak one. */
  readonly etag: string | null;
  readonly intervals: readonly Interval[];
  readonly hash: HashState | null;
  readonly updatedAtMs: number;
}

/** A journal of nothing. */
export function emptyJournal(sizeBytes: number): Journal {
  return { sizeBytes, etag: null, intervals: [], hash: null, updatedAtMs: 0 };
}

/** The journal that `value` holds, as far as it fits a blob of `sizeBytes` and a partial file of `fileBytes`. */
export function readJournal(value: unknown, sizeBytes: number, fileBytes: number): Journal {
  if (!isRecord(value) || value['sizeBytes'] !== sizeBytes || !Array.isArray(value['intervals'])) {
    return emptyJournal(sizeBytes);
  }
  let intervals: readonly Interval[] = [];
  for (const item of value['intervals'] as unknown[]) {
    if (!isRecord(item) || !isOffset(item['start']) || !isOffset(item['end'])) return emptyJournal(sizeBytes);
    intervals = addInterval(intervals, item['start'], Math.min(item['end'], sizeBytes, fileBytes));
  }
  const { etag, hash, updatedAtMs } = value;
  return {
    sizeBytes,
    etag: typeof etag === 'string' ? etag : null,
    intervals,
    hash: readHashState(hash, contiguousEnd(intervals, 0)),
    updatedAtMs: isOffset(updatedAtMs) ? updatedAtMs : 0,
  };
}

/**
 * The key of a blob: its content hash, or, where none is announced (a plain static folder), its address. Two snapshots
 * share a blob exactly where their keys agree. Fit for a file name.
 */
export async function toBlobKey(file: {
  readonly hash: ContentHash | null;
  readonly url: string;
  readonly sizeBytes: number;
}): Promise<string> {
  if (file.hash) return `${file.hash.algorithm}-${file.hash.hex}`;
  const address = new TextEncoder().encode(`${file.sizeBytes} ${file.url}`);
  const digest = new Uint8Array(await crypto.subtle.digest('SHA-256', address));
  return `address-${Array.from(digest, (byte) => byte.toString(16).padStart(2, '0')).join('')}`;
}

function readHashState(value: unknown, contiguousBytes: number): HashState | null {
  if (!isRecord(value)) return null;
  const { hashedBytes, state } = value;
  if (!isOffset(hashedBytes) || hashedBytes > contiguousBytes || !(state instanceof Uint8Array)) return null;
  return { hashedBytes, state };
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null;
}

function isOffset(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0;
}
