/**
 * How a cache of the model lies in memory. Pure.
 *
 * In: a {@link CacheSpec} and a number of tokens. Out: dims, bytes, and where the positions lie. A cache with an axis for the
 * sequence holds, for each index before that axis (its heads), one run of equally long positions:
 *
 * ```
 *   dims [1, 2, tokens, 16], for 3 tokens:   head 0: p0 p1 p2 | head 1: p0 p1 p2
 * ```
 *
 * A state of fixed size has no such axis: it is one piece, whatever the number of tokens.
 */
import type { CacheSpec } from '../contract/caches.ts';

const VALUE_BYTES = { float32: 4, float16: 2 } as const;

/** Dims with room for so many tokens. */
export function cacheDims({ dims }: CacheSpec, tokens: number): readonly number[] {
  return dims.map((dim) => dim ?? tokens);
}

/** Whether it has an axis for the sequence, so that it is longer for more tokens. */
export function growsWithTokens({ dims }: CacheSpec): boolean {
  return dims.includes(null);
}

/** Bytes with room for so many tokens. */
export function countCacheBytes(spec: CacheSpec, tokens: number): number {
  return cacheDims(spec, tokens).reduce((product, dim) => product * dim, VALUE_BYTES[spec.type]);
}

/** Bytes of the largest of these caches; 0 where there is none. */
export function largestCacheBytes(specs: readonly CacheSpec[], tokens: number): number {
  return specs.reduce((most, spec) => Math.max(most, countCacheBytes(spec, tokens)), 0);
}

/** How many runs of positions a cache has, and the bytes of one position in a run. Null for a state of fixed size. */
export function describeRuns({
  dims,
  type,
}: CacheSpec): { readonly runs: number; readonly positionBytes: number } | null {
  const axis = dims.indexOf(null);
  if (axis < 0) return null;
  const product = (some: readonly (number | null)[]): number => some.reduce<number>((sum, dim) => sum * (dim ?? 1), 1);
  return { runs: product(dims.slice(0, axis)), positionBytes: product(dims.slice(axis + 1)) * VALUE_BYTES[type] };
}

/** A copy within one buffer or between two, in bytes. */
export interface ByteCopy {
  readonly from: number;
  readonly to: number;
  readonly sizeBytes: number;
}

/**
 * What to copy so that a cache with room for `toTokens` holds the first `tokens` positions of one with room for `fromTokens`.
 * Of a state of fixed size all of it, unless no position is meant.
 */
export function listCopies(spec: CacheSpec, fromTokens: number, toTokens: number, tokens: number): readonly ByteCopy[] {
  if (tokens === 0) return [];
  const layout = describeRuns(spec);
  if (layout === null) return [{ from: 0, to: 0, sizeBytes: countCacheBytes(spec, 0) }];
  const { runs, positionBytes } = layout;
  return Array.from({ length: runs }, (_, run) => ({
    from: run * fromTokens * positionBytes,
    to: run * toTokens * positionBytes,
    sizeBytes: tokens * positionBytes,
  }));
}
