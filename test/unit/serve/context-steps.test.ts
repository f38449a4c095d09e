/** By how much a KV cache grows. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { listSteps } from '../../../src/pipeline/sequences/context-steps.ts';

describe('listSteps', () => {
  it.each([
    [2048, 2049, 32_768, [4096, 2368]],
    [2048, 4000, 32_768, [8192, 4544]], // 4096 would last for 96 tokens
    [2048, 3600, 32_768, [4096]],
    [2048, 2049, 2100, [2100]],
    [64, 65, 512, [128]],
    [64, 500, 512, [512]],
    [2048, 2049, 2048, []],
    [2048, 100, 4096, []],
  ])('from %i for %i, at most %i: %j', (current, needed, max, expected) => {
    expect(listSteps(current, needed, max)).toEqual(expected);
  });

  it('serves, stays below the ceiling, tries the most first, and needs few steps for any length', () => {
    const tokens = fc.integer({ min: 1, max: 200_000 });
    fc.assert(
      fc.property(tokens, tokens, (current, ceiling) => {
        const max = Math.max(current, ceiling);
        let held = current;
        let count = 0;
        while (held < max) {
          const steps = listSteps(held, held + 1, max);
          expect(steps.length).toBeGreaterThan(0);
          expect(steps).toEqual([...new Set(steps)].toSorted((a, b) => b - a));
          for (const step of steps) {
            expect(step).toBeGreaterThanOrEqual(Math.min(max, held + 1));
            expect(step).toBeLessThanOrEqual(max);
          }
          held = steps[0] ?? Infinity;
          count++;
        }
        expect(count).toBeLessThanOrEqual(Math.ceil(Math.log2(max / current)) + 1);
      }),
    );
  });
});
