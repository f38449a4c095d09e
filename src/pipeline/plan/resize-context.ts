/**
 * The plan of the same model with room for another number of tokens: what the KV cache grows to. Pure.
 */
import type { LoadPlan, WeightTensors } from '../../contract/plan.ts';

/** Longer rotary tables, larger caches, and their costs; everything else as it was. */
export function resizeContext(plan: LoadPlan, contextTokens: number): LoadPlan {
  let addedBytes = 0;
  const weights = plan.weights.map((weight) => {
    if (weight.computed === null) return weight;
    const buffers = weight.buffers.map((buffer) => {
      const sizeBytes = (buffer.sizeBytes / weight.rows) * contextTokens;
      addedBytes += sizeBytes - buffer.sizeBytes;
      return { ...buffer, sizeBytes };
    });
    return { ...weight, rows: contextTokens, buffers, tensors: resizeTable(weight.tensors, contextTokens) };
  });
  const { costs } = plan;
  const weightBytes = costs.weightBytes + addedBytes;
  const kvCacheBytes = costs.kvCacheBytes + costs.kvBytesPerToken * (contextTokens - plan.contextTokens);
  return {
    ...plan,
    contextTokens,
    weights,
    costs: {
      ...costs,
      weightBytes,
      kvCacheBytes,
      deviceBytes: weightBytes + kvCacheBytes + costs.stateSnapshotBytes + costs.activationBytes,
    },
  };
}

function resizeTable(tensors: WeightTensors, rows: number): WeightTensors {
  if (!('values' in tensors)) return tensors;
  const { values } = tensors;
  return { values: { ...values, dims: [rows, ...values.dims.slice(1)] } };
}
