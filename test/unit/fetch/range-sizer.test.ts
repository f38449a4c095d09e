/** Ranges grow with the line, shrink towards the end, and are the longer the fewer there are. */
import { expect, it } from 'vitest';
import { RangeSizer } from '../../../src/pipeline/fetch/range-sizer.ts';

const MIB = 2 ** 20;
const tuning = { rangeBytes: 2 * MIB, maxRangeBytes: 16 * MIB, maxOpenBytes: 48 * MIB };
const LARGE = 10_000 * MIB;

it('doubles on a fast line, up to the bound; halves on a slow one, down to the bound', () => {
  const sizer = new RangeSizer(tuning);
  const sizes = [100, 100, 100, 100].map((elapsedMs) => {
    sizer.report(sizer.next(LARGE, 3), elapsedMs);
    return sizer.next(LARGE, 3) / MIB;
  });
  expect(sizes).toEqual([4, 8, 16, 16]);
  for (let count = 0; count < 5; count++) sizer.report(sizer.next(LARGE, 3), 3000);
  expect(sizer.next(LARGE, 3)).toBe(2 * MIB);
});

it('asks for shorter ranges where there are many, so that no more is lost at once', () => {
  const sizer = new RangeSizer(tuning);
  for (let count = 0; count < 5; count++) sizer.report(sizer.next(LARGE, 1), 100);
  const sizes = [1, 2, 3, 6].map((connections) => sizer.next(LARGE, connections) / MIB);
  expect(sizes).toEqual([16, 16, 16, 8]);
  expect([1, 2, 3, 6].map((connections) => sizer.openBytes(connections) / MIB)).toEqual([16, 32, 48, 48]);
});

it('stays where a range takes some tenths of a second', () => {
  const sizer = new RangeSizer(tuning);
  for (let count = 0; count < 5; count++) sizer.report(sizer.next(LARGE, 6), 700);
  expect(sizer.next(LARGE, 6)).toBe(2 * MIB);
  expect(sizer.openBytes(6)).toBe(12 * MIB);
});

it('leaves each connection its share of the end, and learns from such small ranges only that they were slow', () => {
  const sizer = new RangeSizer(tuning);
  for (let count = 0; count < 3; count++) sizer.report(sizer.next(LARGE, 3), 10);
  expect(sizer.next(30 * MIB, 3)).toBe(10 * MIB);
  expect(sizer.next(3 * MIB, 3)).toBe(2 * MIB);
  sizer.report(2 * MIB, 10);
  expect(sizer.next(LARGE, 3)).toBe(16 * MIB);
  sizer.report(2 * MIB, 5000);
  expect(sizer.next(LARGE, 3)).toBe(2 * MIB);
});
