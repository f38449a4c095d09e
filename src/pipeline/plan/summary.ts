/**
 * A plan without its per-tensor lists: what a page shows.
 */
import type { PlanSummary } from '../../contract/load.ts';
import type { LoadPlan } from '../../contract/plan.ts';

/** Summarises a plan. */
export function summarizePlan(plan: LoadPlan): PlanSummary {
  const { weights, caches: _, ...rest } = plan;
  const bytesByEncoding: Record<string, number> = {};
  for (const { encoding, buffers } of weights) {
    const sizeBytes = buffers.reduce((sum, buffer) => sum + buffer.sizeBytes, 0);
    bytesByEncoding[encoding] = (bytesByEncoding[encoding] ?? 0) + sizeBytes;
  }
  return { ...rest, weightCount: weights.length, bytesByEncoding };
}
