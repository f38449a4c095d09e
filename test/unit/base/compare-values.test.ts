/** Comparing what a device computed with what it should have. */
import { describe, expect, it } from 'vitest';
import { compareValues, toShare } from '../../../src/base/compare-values.ts';

describe('compareValues', () => {
  it('is a share of the spread', () => {
    expect(compareValues([1, 5, 3], [1, 4, 3])).toEqual({ difference: 1, spread: 4, share: 0.25 });
  });

  it('equal values without a spread are equal: a model whose logits, or a layer whose outputs, are all the same', () => {
    expect(compareValues([0, 0], [0, 0]).share).toBe(0);
    expect(compareValues([7, 7], [7, 7]).share).toBe(0);
    expect(compareValues([], []).share).toBe(0);
    expect(toShare(0, 0)).toBe(0);
  });

  it('without a spread, the size of the values is the measure', () => {
    expect(compareValues([8, 8], [8, 8.5]).share).toBeCloseTo(0.0625);
    expect(compareValues([0, 0], [0, 1e-9]).share).toBe(Infinity);
  });

  it('NaN, an infinity and a missing value are never accepted', () => {
    for (const found of [[1, NaN], [1, Infinity], [1]]) expect(compareValues([1, 2], found).share <= 1e9).toBe(false);
    expect(compareValues([1, NaN], [1, 2]).share <= 1e9).toBe(false);
    expect(toShare(NaN, 0) <= 1e9).toBe(false);
  });

  it('takes more values than a call takes arguments', () => {
    const values = Float32Array.from({ length: 300_000 }, (_, index) => index);
    expect(compareValues(values, values)).toEqual({ difference: 0, spread: 299_999, share: 0 });
  });
});
