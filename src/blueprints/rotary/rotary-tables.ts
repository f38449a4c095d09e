/**
 * The tables of a decoder's rotary embeddings, as weights of its graph that no file holds.
 */
import type { DecoderSpec } from '../../contract/decoder-spec.ts';
import type { WeightSpec } from '../blueprint.ts';

/** Cosines and sines of one rotary embedding, [contextTokens, paddedHeadDim / 2] each. */
export function rotaryWeights(
  { rotary }: Pick<DecoderSpec, 'rotary'>,
  name: string,
  contextTokens: number,
): { readonly cos: WeightSpec; readonly sin: WeightSpec } {
  const table = {
    role: 'rotary',
    rows: contextTokens,
    cols: (rotary[name]?.paddedHeadDim ?? 0) / 2,
    sources: [],
    layer: null,
  } as const;
  return {
    cos: { ...table, name: `${name}.cos`, computed: { kind: 'rotary-cos', rotary: name } },
    sin: { ...table, name: `${name}.sin`, computed: { kind: 'rotary-sin', rotary: name } },
  };
}
