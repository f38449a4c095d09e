import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  addInterval,
  contiguousEnd,
  countBytes,
  coversInterval,
  missingIntervals,
  removeInterval,
  type Interval,
} from '../../../src/store/intervals.ts';

const SPAN = 40;
const range = fc.tuple(fc.nat(SPAN), fc.nat(SPAN)).map(([a, b]) => ({ start: Math.min(a, b), end: Math.max(a, b) }));
const step = fc.record({ add: fc.boolean(), range });

/** The same set, one position at a time: the definition that the lists are compared with. */
function replay(steps: readonly { add: boolean; range: Interval }[]): {
  list: readonly Interval[];
  positions: Set<number>;
} {
  let list: readonly Interval[] = [];
  const positions = new Set<number>();
  for (const { add, range: each } of steps) {
    list = (add ? addInterval : removeInterval)(list, each.start, each.end);
    for (let at = each.start; at < each.end; at++) {
      if (add) positions.add(at);
      else positions.delete(at);
    }
  }
  return { list, positions };
}

describe('intervals', () => {
  it('hold exactly the positions that were added and not removed, sorted, disjoint and merged', () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 30 }), (steps) => {
        const { list, positions } = replay(steps);
        const held = list.flatMap(({ start, end }) => Array.from({ length: end - start }, (_, index) => start + index));
        expect(held).toEqual([...positions].sort((a, b) => a - b));
        expect(countBytes(list)).toBe(positions.size);
        for (let index = 1; index < list.length; index++) {
          expect(list[index]?.start).toBeGreaterThan(list[index - 1]?.end ?? -1);
        }
      }),
    );
  });

  it('know what they lack, what they cover and how far they go on', () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 20 }), range, (steps, { start, end }) => {
        const { list, positions } = replay(steps);
        const asked = Array.from({ length: end - start }, (_, index) => start + index);
        const lacking = missingIntervals(list, start, end).flatMap((gap) =>
          Array.from({ length: gap.end - gap.start }, (_, index) => gap.start + index),
        );
        expect(lacking).toEqual(asked.filter((at) => !positions.has(at)));
        expect(coversInterval(list, start, end)).toBe(lacking.length === 0);
        let runEnd = start;
        while (positions.has(runEnd)) runEnd++;
        expect(contiguousEnd(list, start)).toBe(runEnd);
      }),
    );
  });

  it('work beyond 32 bits', () => {
    const list = addInterval(addInterval([], 0, 2 ** 40), 2 ** 40, 2 ** 41);
    expect(list).toEqual([{ start: 0, end: 2 ** 41 }]);
    expect(missingIntervals(list, 2 ** 41 - 1, 2 ** 42)).toEqual([{ start: 2 ** 41, end: 2 ** 42 }]);
  });
});
