/** The budget that measured activations leave. */
import { expect, it } from 'vitest';
import { makeBudget } from '../../../src/pipeline/warm-up/budget.ts';
import type { PlanCosts } from '../../../src/contract/plan.ts';

const costs = {
  weightBytes: 1_000_000,
  kvCacheBytes: 200_000,
  kvBytesPerToken: 100,
  activationBytes: 512_000,
} as PlanCosts;
const plan = { costs, contextTokens: 2000 };

it('keeps the chunk where the activations fit, and counts the rest for conversations', () => {
  const { chunkTokens, kvBytes, kvTokens } = makeBudget(plan, 1, 256_000);
  expect(chunkTokens).toBe(512);
  expect(kvBytes).toBe(400_000 + 512_000 - 281_600);
  expect(kvTokens).toBe(6304);
});

it('shortens the chunk in steps of 32 where they take more than was reserved, and never takes from the cache', () => {
  const { chunkTokens, kvTokens } = makeBudget(plan, 0, 1_000_000);
  expect(chunkTokens).toBe(224); // 512 · 512,000 / 1,100,000 = 238
  expect(kvTokens).toBeGreaterThanOrEqual(2000);
  expect(makeBudget(plan, 0, 1e9).chunkTokens).toBe(32);
});

it('never runs more at once than the context holds', () => {
  expect(makeBudget({ ...plan, contextTokens: 48 }, 0, 1).chunkTokens).toBe(48);
});
