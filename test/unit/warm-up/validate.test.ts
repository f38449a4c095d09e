/** The checks before a model is called ready, on values that are all equal: zero-initialised models have them. */
import { describe, expect, it } from 'vitest';
import { CachedDecoder } from '../../../src/pipeline/sequences/cached-decoder.ts';
import { checkFirstLayer, checkFixture } from '../../../src/pipeline/warm-up/validate.ts';
import { errorOf } from '../plan/made-repository.ts';

const { signal } = new AbortController();

/** A model whose logits are these, whatever it is given. */
const modelOf = (logits: Float32Array): CachedDecoder =>
  new CachedDecoder({ contextTokens: 100, run: () => Promise.resolve(logits), release: () => Promise.resolve() });

describe('checkFirstLayer', () => {
  it('a layer that adds nothing is the same on both devices', () => {
    expect(checkFirstLayer({ difference: 0, spread: 0 }, null)).toBe(0);
  });

  it('output_mismatch: one device adds something, or no number', async () => {
    for (const difference of [0.5, NaN]) {
      const error = await errorOf(Promise.resolve().then(() => checkFirstLayer({ difference, spread: 0 }, null)));
      expect(error.code).toBe('output_mismatch');
    }
  });
});

describe('checkFixture', () => {
  it('expected logits that are all equal are met by equal ones', async () => {
    const fixture = { inputIds: [1], logits: [[0, 0] as const, [3, 0] as const] };
    expect(await checkFixture(modelOf(new Float32Array(4)), fixture, 'fp32', null, signal)).toBe(0);
    const error = await errorOf(checkFixture(modelOf(Float32Array.of(0, 0, 0, 1)), fixture, 'q4', null, signal));
    expect(error.code).toBe('output_mismatch');
  });

  it('the fixture may hold every logit of a large vocabulary', async () => {
    const logits = Float32Array.from({ length: 262_144 }, (_, id) => Math.sin(id));
    const all = Array.from(logits, (value, id) => [id, value] as const);
    expect(await checkFixture(modelOf(logits), { inputIds: [1], logits: all }, 'fp32', null, signal)).toBe(0);
  });
});
