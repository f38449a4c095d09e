/**
 * RMS normalisation of the residual stream (arXiv:1910.07467), which onnxruntime calls simplified layer normalisation.
 */
import { float, int, MICROSOFT_DOMAIN, type Value } from '../onnx/graph-builder.ts';
import type { DecoderContext, ResidualStream } from './decoder-context.ts';

/** The normalised stream, and the sum that it was taken of. */
export interface Normalised {
  readonly normed: Value; // [S, hidden]
  readonly residual: Value; // [S, hidden]
}

/**
 * Emits one node. With an update, the addition happens in the norm's kernel and its sum is the second result:
 *
 * ```
 *   residual ─┐
 *             ├─► SkipSimplifiedLayerNormalization ─┬─► normed
 *   update  ──┘             ▲ weight                └─► residual + update
 * ```
 */
export function emitNorm(
  { graph, shape, weights }: DecoderContext,
  { residual, update }: ResidualStream,
  options: { readonly name: string; readonly weight: string },
): Normalised {
  const scale = weights.tensor(options.weight); // [hidden]
  const epsilon = float(shape.rmsNormEpsilon);
  if (update === null) {
    const normed = graph.node('SimplifiedLayerNormalization', [residual, scale], {
      name: `${options.name}/LayerNorm`,
      attributes: { axis: int(-1), epsilon, stash_type: int(1) },
    });
    return { normed, residual };
  }
  const name = `${options.name}/SkipLayerNorm`;
  const [normed, , , sum] = graph.nodeWithOutputs(
    'SkipSimplifiedLayerNormalization',
    [residual, update, scale],
    [`${name}/output_0`, null, null, `${name}/output_3`],
    { name, domain: MICROSOFT_DOMAIN, attributes: { epsilon } },
  );
  return { normed, residual: sum };
}
