import { describe, expect, it } from 'vitest';
import fc from 'fast-check';
import { sampleToken } from '../../../src/pipeline/serve/sampling.ts';

/** The distribution by its definition, computed in another way: softmax, then renormalise what each filter keeps. */
function expectedShares(
  logits: readonly number[],
  temperature: number,
  topK: number,
  topP: number,
  minP: number,
): number[] {
  const ranked = logits
    .map((logit, id) => ({ id, p: Math.exp(logit / temperature) }))
    .sort((a, b) => b.p - a.p || a.id - b.id);
  const kept = topK > 0 ? ranked.slice(0, topK) : ranked;
  const total = kept.reduce((sum, { p }) => sum + p, 0);
  const shares = logits.map(() => 0);
  let before = 0;
  for (const { id, p } of kept) {
    if (before / total >= topP || p < minP * (ranked[0]?.p ?? 0)) break;
    shares[id] = p;
    before += p;
  }
  const rest = shares.reduce((sum, p) => sum + p, 0);
  return shares.map((p) => p / rest);
}

describe('sampleToken', () => {
  const logits = [1.5, -0.5, 3, 2.9, -Infinity, 0.1, 2.2, 2.2];
  const cases = [
    { temperature: 1, topK: 0, topP: 1, minP: 0 },
    { temperature: 0.7, topK: 3, topP: 1, minP: 0 },
    { temperature: 1.3, topK: 0, topP: 0.8, minP: 0 },
    { temperature: 0.9, topK: 5, topP: 0.6, minP: 0 },
    { temperature: 1, topK: 1, topP: 1, minP: 0 },
    { temperature: 0.8, topK: 0, topP: 1, minP: 0.2 },
    { temperature: 1.2, topK: 6, topP: 0.95, minP: 0.5 },
    { temperature: 1, topK: 0, topP: 1, minP: 1 },
  ];
  it.each(cases)('draws from the defined distribution: %o', ({ temperature, topK, topP, minP }) => {
    const expected = expectedShares(logits, temperature, topK, topP, minP);
    const draws = 20_000;
    const counts = logits.map(() => 0);
    // Evenly spaced "random" numbers measure the shares exactly, to within one draw at each edge.
    for (let draw = 0; draw < draws; draw++) {
      const id = sampleToken(Float32Array.from(logits), { temperature, topK, topP, minP }, () => (draw + 0.5) / draws);
      counts[id] = (counts[id] ?? 0) + 1;
    }
    counts.forEach((count, id) => expect(count / draws).toBeCloseTo(expected[id] ?? 0, 3));
  });

  it('finds the k largest of any logits', () => {
    fc.assert(
      fc.property(
        fc.array(fc.integer({ min: -50, max: 50 }), { minLength: 2, maxLength: 200 }),
        fc.nat(20),
        fc.double({ min: 0, max: 0.999999, noNaN: true }),
        (values, k, random) => {
          const topK = k + 1;
          const id = sampleToken(Float32Array.from(values), { temperature: 1, topK, topP: 1, minP: 0 }, () => random);
          const better = values.filter((value) => value > (values[id] ?? 0)).length;
          expect(better).toBeLessThan(topK);
        },
      ),
    );
  });
});
