/**
 * Weights of a graph, before their bytes are known: made from checkpoint tensors stacked by rows.
 */
import { countSpread } from '../../base/gaps.ts';
import type { SourceSpec, WeightRole, WeightSpec } from '../blueprint.ts';

/** The head's matrix in a checkpoint. */
export const HEAD_TENSOR = 'lm_head.weight';

/** A weight's name, and the layer that it belongs to. */
export interface WeightPlace {
  readonly name: string;
  readonly layer: number | null;
}

/** A layer's names: in our weights, in the checkpoint, in the graph. */
export interface LayerNames {
  readonly layer: number;
  readonly ours: string;
  readonly theirs: string;
  readonly node: string;
}

/** The names of a decoder's layer. */
export function nameLayer(layer: number): LayerNames {
  return { layer, ours: `layers.${layer}`, theirs: `model.layers.${layer}`, node: `/model/layers.${layer}` };
}

/** [rows, cols]; the rows are those of its sources, zeros included. */
export function matrix(place: WeightPlace, role: WeightRole, cols: number, sources: readonly SourceSpec[]): WeightSpec {
  return { ...place, role, rows: sumFirstDims(sources), cols, sources, computed: null };
}

/** As many columns as its sources have values, zeros included; one row. */
export function vector(place: WeightPlace, role: WeightRole, sources: readonly SourceSpec[]): WeightSpec {
  return { ...place, role, rows: 1, cols: sumFirstDims(sources), sources, computed: null };
}

function sumFirstDims(sources: readonly SourceSpec[]): number {
  return sources.reduce((sum, { shape, padding }) => sum + countSpread(padding?.rows ?? null, shape[0] ?? 0), 0);
}
