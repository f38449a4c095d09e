/**
 * The tensors that a graph declares over a plan's weights, in graph order. Pure.
 */
import type { GraphTensor, PlannedWeight, WeightTensors } from '../contract/plan.ts';

/** Of one weight. */
export function listTensors(tensors: WeightTensors): readonly GraphTensor[] {
  if ('values' in tensors) return [tensors.values];
  const { blocks, gather, scales } = tensors;
  return [blocks, gather, scales].filter((tensor) => tensor !== null);
}

/** Of all weights. */
export function listGraphTensors(weights: readonly Pick<PlannedWeight, 'tensors'>[]): readonly GraphTensor[] {
  return weights.flatMap(({ tensors }) => listTensors(tensors));
}
