/**
 * The plan of the same model with room for another number of tokens: what the KV cache grows to. Pure.
 */
import type { LoadPlan } from '../../contract/plan.ts';

/** Longer rotary tables, larger caches, and their costs; everything else as it was. */
export function resizeContext(plan: LoadPlan, contextTokens: number): LoadPlan {
  const tables = new Set<string>();
  let addedBytes = 0;
  const weights = plan.weights.map((weight) => {
    if (weight.computed === null) return weight;
    const buffers = weight.buffers.map((buffer) => {
      const sizeBytes = (buffer.sizeBytes / weight.rows) * contextTokens;
      tables.add(buffer.name);
      addedBytes += sizeBytes - buffer.sizeBytes;
      return { ...buffer, sizeBytes };
    });
    return { ...weight, rows: contextTokens, buffers };
  });
  const { costs } = plan;
  const weightBytes = costs.weightBytes + addedBytes;
  const kvCacheBytes = costs.kvBytesPerToken * contextTokens;
  return {
    ...plan,
    contextTokens,
    weights,
    graphTensors: plan.graphTensors.map((tensor) =>
      tables.has(tensor.buffer) ? { ...tensor, dims: [contextTokens, ...tensor.dims.slice(1)] } : tensor,
    ),
    costs: { ...costs, weightBytes, kvCacheBytes, deviceBytes: weightBytes + kvCacheBytes + costs.activationBytes },
  };
}
