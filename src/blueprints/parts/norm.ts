/**
 * RMS normalisation of the residual stream (arXiv:1910.07467), which onnxruntime calls simplified layer normalisation.
 */
import { float, int, MICROSOFT_DOMAIN, type Value } from '../../onnx/graph-builder.ts';
import type { NormSpec } from '../../contract/decoder-spec.ts';
import type { WeightSpec } from '../blueprint.ts';
import { emitNarrow, emitWiden } from './cast.ts';
import type { DecoderContext, ResidualStream } from './decoder-context.ts';
import { vector, type WeightPlace } from './weight-specs.ts';

/** The weight of a norm over hidden states. */
export function normWeight(at: WeightPlace, module: string, hiddenSize: number): WeightSpec {
  return vector(at, 'norm', [{ tensor: `${module}.weight`, shape: [hiddenSize] }]);
}

/** The normalised stream, and the sum that it was taken of. */
export interface Normalised {
  readonly normed: Value; // [S, hidden], activation type
  readonly residual: Value; // [S, hidden], float32
}

/**
 * Emits one node. With an update, the addition happens in the norm's kernel and its sum is the second result:
 *
 * ```
 *   residual ──────────┐
 *                      ├─► SkipSimplifiedLayerNormalization ─┬─► (Cast) ─► normed
 *   update ─► (Cast) ──┘             ▲ weight                └─► residual + update
 * ```
 *
 * The casts are there where activations are float16: onnxruntime's WebGPU kernels for norms take one type for all that they
 * read and write (1.31.0-dev.20260914).
 */
export function emitNorm(
  context: DecoderContext,
  { residual, update }: ResidualStream,
  options: { readonly name: string; readonly weight: WeightSpec; readonly norm: NormSpec },
): Normalised {
  const { graph, weights } = context;
  const scale = weights.values(options.weight.name); // [hidden], float32
  const epsilon = float(options.norm.epsilon);
  const narrow = (normed: Value): Value => emitNarrow(context, normed, `${options.name}/normed/Cast`);
  if (update === null) {
    const normed = graph.node('SimplifiedLayerNormalization', [residual, scale], {
      name: `${options.name}/LayerNorm`,
      attributes: { axis: int(-1), epsilon, stash_type: int(1) },
    });
    return { normed: narrow(normed), residual };
  }
  const name = `${options.name}/SkipLayerNorm`;
  const [normed, , , sum] = graph.nodeWithOutputs(
    'SkipSimplifiedLayerNormalization',
    [residual, emitWiden(context, update, `${options.name}/update/Cast`), scale],
    [`${name}/output_0`, null, null, `${name}/output_3`],
    { name, domain: MICROSOFT_DOMAIN, attributes: { epsilon } },
  );
  return { normed: narrow(normed), residual: sum };
}
