/**
 * How far the logits of a rounded model are from those of float32, and how far they may be.
 */

/**
 * Bounds on the mean KL divergence per token from float32, in nats. Eight bits in blocks of 32 move a weight by at most
 * 0.4 % of the largest in its block, four bits by up to 7 %;
 * float16 keeps 11 bits of every weight and every value between. The trained models are small, and lose more than large ones do;
 * the random ones are the worst case: nothing in them is redundant.
 */
export const KL_BOUND = {
  trained: { fp16: 0.001, q8: 0.002, q4: 0.15, q4f16: 0.15 },
  random: { fp16: 0.001, q8: 0.01, q4: 1, q4f16: 1 },
} as const;

/** KL(p ‖ q) in nats of the distributions that two rows of logits stand for. */
export function divergence(p: Float32Array, q: Float32Array): number {
  const logP = logSoftmax(p);
  const logQ = logSoftmax(q);
  return logP.reduce((sum, value, index) => sum + Math.exp(value) * (value - (logQ[index] ?? NaN)), 0);
}

function logSoftmax(logits: Float32Array): number[] {
  const most = logits.reduce((a, b) => Math.max(a, b), -Infinity);
  const total = Math.log(logits.reduce((sum, value) => sum + Math.exp(value - most), 0));
  return Array.from(logits, (value) => value - most - total);
}
