import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { gatherPieces, isMadeFrom, joinPieces, type PreparedPiece } from '../../../src/store/prepared-record.ts';

/** Pieces of these lengths, one behind the other. */
function cut(lengths: readonly number[]): PreparedPiece[] {
  let end = 0;
  return lengths.map((length) => ({ start: end, end: (end += length), hash: String(end) }));
}

const lengths = fc.array(fc.integer({ min: 1, max: 50 }), { minLength: 1, maxLength: 30 });

describe('pieces of a file', () => {
  it('are joined whatever order they were written in', () => {
    const shuffled = lengths.chain((all) => {
      const pieces = cut(all);
      return fc.tuple(fc.constant(pieces), fc.shuffledSubarray(pieces, { minLength: pieces.length }));
    });
    fc.assert(
      fc.property(shuffled, ([pieces, written]) => {
        expect(joinPieces(written, pieces.at(-1)?.end ?? 0)).toEqual(pieces);
      }),
    );
  });

  it('are not joined where one is missing, doubled, or too long', () => {
    fc.assert(
      fc.property(lengths, fc.nat(), (all, at) => {
        const pieces = cut(all);
        const sizeBytes = pieces.at(-1)?.end ?? 0;
        const index = at % pieces.length;
        const [piece] = pieces.slice(index) as [PreparedPiece];
        expect(joinPieces(pieces.toSpliced(index, 1), sizeBytes)).toBeNull();
        expect(joinPieces([...pieces, piece], sizeBytes)).toBeNull();
        expect(joinPieces(pieces.with(index, { ...piece, end: piece.end + 1 }), sizeBytes)).toBeNull();
      }),
    );
  });

  it('are gathered into reads that are as long as allowed and no longer', () => {
    fc.assert(
      fc.property(lengths, fc.integer({ min: 1, max: 120 }), (all, maxBytes) => {
        const pieces = cut(all);
        const groups = gatherPieces(pieces, maxBytes);
        expect(groups.flat()).toEqual(pieces);
        groups.forEach((group, index) => {
          const end = group.at(-1)?.end ?? 0;
          expect(group.length === 1 || end - group[0].start <= maxBytes).toBe(true);
          const next = groups[index + 1];
          if (next) expect(next[0].end - group[0].start).toBeGreaterThan(maxBytes);
        });
      }),
    );
  });
});

it('prepared weights belong to a snapshot that has all they were made from', () => {
  const made = { key: 'k', converterVersion: 1, dtype: 'q4' as const, blobKeys: ['a', 'b'], sizeBytes: 1 };
  expect(isMadeFrom(made, new Set(['a', 'b', 'c']))).toBe(true);
  expect(isMadeFrom(made, new Set(['a', 'c']))).toBe(false);
});
