/**
 * The weights that no file holds: rotary cosines and sines, computed once for both.
 */
import { assert } from '../../base/assert.ts';
import type { RotarySpec } from '../../contract/decoder-spec.ts';
import type { LoadPlan, PlannedWeight } from '../../contract/plan.ts';

/** Cosines and sines, [tokens, paddedHeadDim / 2] each. */
export type ComputeRotary = (
  spec: RotarySpec,
  tokens: number,
) => { readonly cos: Float32Array; readonly sin: Float32Array };

/** The values of a computed weight. */
export type TableSource = (weight: Pick<PlannedWeight, 'computed' | 'rows'>) => Float32Array;

/** Computes both tables of a rotary embedding when the first is asked for. */
export function createTableSource({ spec }: Pick<LoadPlan, 'spec'>, computeRotary: ComputeRotary): TableSource {
  const known = new Map<string, ReturnType<ComputeRotary>>();
  return ({ computed, rows }) => {
    assert(computed, 'a table is computed');
    const rotary = spec.rotary[computed.rotary];
    assert(rotary, `the model has no rotary embedding ${computed.rotary}`);
    const tables = known.get(computed.rotary) ?? computeRotary(rotary, rows);
    known.set(computed.rotary, tables);
    return computed.kind === 'rotary-cos' ? tables.cos : tables.sin;
  };
}
