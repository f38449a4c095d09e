/**
 * Where the positions of a cache lie, against arrays in arrays.
 */
import fc from 'fast-check';
import { expect, it } from 'vitest';
import { cacheDims, countCacheBytes, describeRuns, listCopies } from '../../../src/base/cache-layout.ts';
import type { CacheSpec } from '../../../src/contract/caches.ts';

type Nested = number | Nested[];

/** An array for each dim, with `valueOf` at the bottom. */
function nest(dims: readonly number[], valueOf: (at: readonly number[]) => number, at: readonly number[] = []): Nested {
  const [dim, ...rest] = dims;
  if (dim === undefined) return valueOf(at);
  return Array.from({ length: dim }, (_, index) => nest(rest, valueOf, [...at, index]));
}

const flatten = (nested: Nested): number[] => (typeof nested === 'number' ? [nested] : nested.flatMap(flatten));

const spec = (dims: readonly (number | null)[], type: CacheSpec['type']): CacheSpec => ({
  layer: 0,
  kind: 'kv',
  past: 'past',
  present: 'present',
  type,
  dims,
  windowTokens: null,
  canRewind: true,
});

const sizes = fc.array(fc.integer({ min: 1, max: 4 }), { maxLength: 3 });
const types = fc.constantFrom<CacheSpec['type']>('float32', 'float16');
const BYTES = { float32: 4, float16: 2 } as const;

it('copies the first positions of one cache to where they are in another, whatever the axis', () => {
  const rooms = fc.tuple(fc.nat(5), fc.nat(5), fc.nat(5));
  fc.assert(
    fc.property(sizes, sizes, types, rooms, (before, after, type, [tokens, moreFrom, moreTo]) => {
      const cache = spec([...before, null, ...after], type);
      const axis = before.length;
      const [fromTokens, toTokens] = [tokens + moreFrom, tokens + moreTo];
      // A value says where it is; what was there before is -1.
      const name = (at: readonly number[]): number => at.reduce((sum, index) => sum * 11 + index + 1, 0);
      const from = flatten(nest(cacheDims(cache, fromTokens), name));
      const to = flatten(nest(cacheDims(cache, toTokens), () => -1));
      expect(countCacheBytes(cache, fromTokens)).toBe(from.length * BYTES[type]);
      for (const copy of listCopies(cache, fromTokens, toTokens, tokens)) {
        const [start, target, count] = [copy.from, copy.to, copy.sizeBytes].map((bytes) => bytes / BYTES[type]);
        from.slice(start, (start ?? 0) + (count ?? 0)).forEach((value, index) => (to[(target ?? 0) + index] = value));
      }
      const expected = nest(cacheDims(cache, toTokens), (at) => ((at[axis] ?? 0) < tokens ? name(at) : -1));
      expect(to).toEqual(flatten(expected));
    }),
  );
});

it('takes a state of fixed size whole, unless no position is meant', () => {
  fc.assert(
    fc.property(sizes, types, fc.nat(9), fc.nat(9), (dims, type, tokens, room) => {
      const state = spec(dims, type);
      const sizeBytes = flatten(nest(dims, () => 0)).length * BYTES[type];
      expect(describeRuns(state)).toBeNull();
      expect(countCacheBytes(state, room)).toBe(sizeBytes);
      expect(listCopies(state, room, room, tokens)).toEqual(tokens === 0 ? [] : [{ from: 0, to: 0, sizeBytes }]);
    }),
  );
});
