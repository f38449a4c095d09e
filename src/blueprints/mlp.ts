/**
 * The gated feed-forward block, SwiGLU (arXiv:2002.05202).
 */
import type { Value } from '../onnx/graph-builder.ts';
import type { DecoderContext } from './decoder-context.ts';
import { emitLinear } from './linear.ts';

/**
 * Emits one layer's feed-forward block.
 *
 * ```
 *   x ─┬─► gate ─┬─► Sigmoid ─► Mul ─► Mul ─► down ─► [S, hidden]
 *      │         └──────────────▲      ▲
 *      └─► up ─────────────────────────┘
 * ```
 *
 * Written out, since this is the form that onnxruntime's own fusions look for.
 */
export function emitMlp(context: DecoderContext, x: Value, layer: number): Value {
  const { graph, shape } = context;
  const name = `/model/layers.${layer}/mlp`;
  const linear = (input: Value, part: string) =>
    emitLinear(context, input, {
      name: `${name}/${part}_proj`,
      weight: `layers.${layer}.mlp.${part}`,
      bias: shape.mlpBias,
    });

  const gate = linear(x, 'gate'); // [S, intermediate]
  const up = linear(x, 'up'); // [S, intermediate]
  const sigmoid = graph.node('Sigmoid', [gate], { name: `${name}/act_fn/Sigmoid` });
  const activated = graph.node('Mul', [gate, sigmoid], { name: `${name}/act_fn/Mul` });
  const gated = graph.node('Mul', [activated, up], { name: `${name}/Mul` }); // [S, intermediate]
  return linear(gated, 'down'); // [S, hidden]
}
