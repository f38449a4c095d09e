/**
 * The weights that no file holds: rotary cosines and sines, computed once for both.
 */
import type { DecoderShape, LoadPlan, PlannedWeight } from '../../contract/plan.ts';

/** Cosines and sines, [contextTokens, headDim / 2] each. */
export type ComputeRotary = (
  shape: DecoderShape,
  contextTokens: number,
) => { readonly cos: Float32Array; readonly sin: Float32Array };

/** The values of a computed weight. */
export type TableSource = (kind: NonNullable<PlannedWeight['computed']>) => Float32Array;

/** Computes both tables when the first is asked for. */
export function createTableSource(
  { shape, contextTokens }: Pick<LoadPlan, 'shape' | 'contextTokens'>,
  computeRotary: ComputeRotary,
): TableSource {
  let tables: ReturnType<ComputeRotary> | undefined;
  return (kind) => {
    tables ??= computeRotary(shape, contextTokens);
    return kind === 'rotary-cos' ? tables.cos : tables.sin;
  };
}
