/**
 * What is recorded of prepared weights: weights in the form that a device takes them, made from blobs of the cache.
 *
 * Plain data and arithmetic, no I/O. A record is written once its file is complete and flushed, never before: a file
 * without a record is rubbish.
 */
import type { Dtype } from '../contract/plan.ts';

/** Which prepared weights: all that their bytes depend on is in the key. */
export interface PreparedContent {
  /** Fit for a file name. */
  readonly key: string;
  /** Of what wrote the bytes: those of another version are never read, and removed. */
  readonly converterVersion: number;
  readonly dtype: Dtype;
  /** The blobs that they were made from: they go with the last snapshot that has all of these. */
  readonly blobKeys: readonly string[];
  readonly sizeBytes: number;
}

/** Bytes `[start, end)` of the file, as they were written at once. */
export interface PreparedPiece {
  readonly start: number;
  readonly end: number;
  /** See `createFastHash`. */
  readonly hash: string;
}

/** Complete prepared weights. */
export interface PreparedRecord extends PreparedContent {
  /** From the file's start to its end, without gaps. */
  readonly pieces: readonly PreparedPiece[];
  readonly usedAtMs: number;
}

/** The pieces by place, if they cover `[0, sizeBytes)` exactly once; else null. */
export function joinPieces(pieces: readonly PreparedPiece[], sizeBytes: number): readonly PreparedPiece[] | null {
  const sorted = pieces.toSorted((a, b) => a.start - b.start);
  let end = 0;
  for (const piece of sorted) {
    if (piece.start !== end || piece.end <= piece.start) return null;
    end = piece.end;
  }
  return end === sizeBytes ? sorted : null;
}

/** Neighbouring pieces, gathered into reads of at most `maxBytes`, unless one piece alone is longer. */
export function gatherPieces(
  pieces: readonly PreparedPiece[],
  maxBytes: number,
): readonly (readonly [PreparedPiece, ...PreparedPiece[]])[] {
  const groups: [PreparedPiece, ...PreparedPiece[]][] = [];
  for (const piece of pieces) {
    const group = groups.at(-1);
    if (group && piece.end - group[0].start <= maxBytes) group.push(piece);
    else groups.push([piece]);
  }
  return groups;
}

/** Whether all that the weights were made from is among these blobs. */
export function isMadeFrom({ blobKeys }: PreparedContent, keys: ReadonlySet<string>): boolean {
  return blobKeys.every((key) => keys.has(key));
}
