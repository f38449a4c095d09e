/**
 * The weights that no file holds: rotary cosines and sines, computed once for both.
 */
import type { DecoderShape, LoadPlan, PlannedWeight } from '../../contract/plan.ts';

/** Cosines and sines, [tokens, paddedHeadDim / 2] each. */
export type ComputeRotary = (
  shape: DecoderShape,
  tokens: number,
) => { readonly cos: Float32Array; readonly sin: Float32Array };

/** The values of a computed weight. */
export type TableSource = (weight: Pick<PlannedWeight, 'computed' | 'rows'>) => Float32Array;

/** Computes both tables when the first is asked for. */
export function createTableSource({ shape }: Pick<LoadPlan, 'shape'>, computeRotary: ComputeRotary): TableSource {
  let tables: ReturnType<ComputeRotary> | undefined;
  return ({ computed, rows }) => {
    tables ??= computeRotary(shape, rows);
    return computed === 'rotary-cos' ? tables.cos : tables.sin;
  };
}
