/** Ranges grow with the line and shrink towards the end. */
import { expect, it } from 'vitest';
import { RangeSizer } from '../../../src/pipeline/fetch/range-sizer.ts';

const MIB = 2 ** 20;
const tuning = { rangeBytes: 2 * MIB, maxRangeBytes: 16 * MIB, connections: 6 };
const LARGE = 10_000 * MIB;

it('doubles on a fast line, up to the bound; halves on a slow one, down to the bound', () => {
  const sizer = new RangeSizer(tuning);
  const sizes = [100, 100, 100, 100].map((elapsedMs) => {
    sizer.report(sizer.next(LARGE), elapsedMs);
    return sizer.next(LARGE) / MIB;
  });
  expect(sizes).toEqual([4, 8, 16, 16]);
  for (let count = 0; count < 5; count++) sizer.report(sizer.next(LARGE), 3000);
  expect(sizer.next(LARGE)).toBe(2 * MIB);
});

it('stays where a range takes some tenths of a second', () => {
  const sizer = new RangeSizer(tuning);
  for (let count = 0; count < 5; count++) sizer.report(sizer.next(LARGE), 700);
  expect(sizer.next(LARGE)).toBe(2 * MIB);
});

it('leaves each connection its share of the end, and learns nothing from such small ranges', () => {
  const sizer = new RangeSizer(tuning);
  for (let count = 0; count < 3; count++) sizer.report(sizer.next(LARGE), 10);
  expect(sizer.next(60 * MIB)).toBe(10 * MIB);
  expect(sizer.next(3 * MIB)).toBe(2 * MIB);
  sizer.report(2 * MIB, 5000);
  expect(sizer.next(LARGE)).toBe(16 * MIB);
});
