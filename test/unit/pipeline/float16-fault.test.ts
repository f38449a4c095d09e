import { describe, expect, it } from 'vitest';
import { LoadError } from '../../../src/contract/errors.ts';
import type { Dtype, PlanCosts } from '../../../src/contract/plan.ts';
import { describeOtherAttempt, findFloat16Fault } from '../../../src/pipeline/warm-up/float16-fault.ts';

const SEEN = 'Logit 3 of a first prompt is NaN.';
const mismatch = new LoadError('output_mismatch', { stage: 'warmUp', detail: { finding: SEEN } });

describe('findFloat16Fault', () => {
  it.each<[Dtype | 'auto', Dtype, string | null]>([
    ['auto', 'q4f16', SEEN],
    ['auto', 'fp16', SEEN],
    ['auto', 'q4', null],
    ['auto', 'q8', null],
    ['auto', 'fp32', null],
    ['q4f16', 'q4f16', null],
    ['fp16', 'fp16', null],
  ])('asked %s, taken %s: %s', (requested, dtype, expected) => {
    expect(findFloat16Fault(mismatch, { dtype }, { dtype: requested })).toBe(expected);
  });

  it('any mismatch counts, and nothing else', () => {
    const of = (error: unknown): string | null => findFloat16Fault(error, { dtype: 'q4f16' }, { dtype: 'auto' });
    expect(of(new LoadError('output_mismatch', { message: 'Off.' }))).toContain('Off.');
    for (const code of ['aborted', 'device_lost', 'out_of_memory', 'runtime_failed'] as const) {
      expect(of(new LoadError(code))).toBeNull();
    }
    expect(of(new Error('no'))).toBeNull();
  });
});

describe('describeOtherAttempt', () => {
  const taken = (cachedBytes: number) => ({
    dtype: 'q4' as const,
    device: 'webgpu' as const,
    costs: { downloadBytes: 100, cachedBytes } as PlanCosts,
  });

  it('says what was tried, seen and taken, and what comes twice', () => {
    const kept = describeOtherAttempt({ dtype: 'q4f16' }, taken(100), SEEN, true);
    expect(kept).toMatch(
      /^q4f16, which "auto" chose, .*: Logit 3 .*\. The load goes on in q4 on webgpu, .*Nothing is downloaded again\./u,
    );
    expect(kept).toMatch(/begins with q4\.$/u);
    const lost = describeOtherAttempt({ dtype: 'q4f16' }, taken(30), SEEN, false);
    expect(lost).toMatch(/70 bytes are downloaded again\. That is not remembered: the next load tries again\.$/u);
  });
});
