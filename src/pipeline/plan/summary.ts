/**
 * A plan without what only the stages need: what a page is given.
 */
import type { DecoderSpec } from '../../contract/decoder-spec.ts';
import type { ArchitectureSummary, PlanSummary } from '../../contract/load.ts';
import type { LoadPlan } from '../../contract/plan.ts';

/** Summarises a plan. */
export function summarizePlan(plan: LoadPlan): PlanSummary {
  const { spec, weights, caches: _, ...rest } = plan;
  const bytesByEncoding: Record<string, number> = {};
  for (const { encoding, buffers } of weights) {
    const sizeBytes = buffers.reduce((sum, buffer) => sum + buffer.sizeBytes, 0);
    bytesByEncoding[encoding] = (bytesByEncoding[encoding] ?? 0) + sizeBytes;
  }
  const parts: Record<string, number> = {};
  for (const { part } of weights) if (part) parts[part.of] = (parts[part.of] ?? 0) + 1;
  return { ...rest, architecture: describeSpec(spec), parts, weightCount: weights.length, bytesByEncoding };
}

/** The sizes of its first layer stand for all. */
function describeSpec({ modelType, hiddenSize, layers }: DecoderSpec): ArchitectureSummary {
  const { headCount = 0, kvHeadCount = 0 } = layers[0]?.mixer ?? {};
  return { modelType, hiddenSize, layerCount: layers.length, headCount, kvHeadCount };
}
