/**
 * The gated feed-forward block, SwiGLU (arXiv:2002.05202): its weights, and its nodes.
 */
import type { GatedSpec } from '../../contract/decoder-spec.ts';
import type { Value } from '../../onnx/graph-builder.ts';
import type { DecoderContext } from './decoder-context.ts';
import { emitLinear, type LinearWeights, linearWeights } from './linear.ts';
import type { LayerNames } from './weight-specs.ts';

/** In graph order. */
export interface GatedWeights {
  readonly gate: LinearWeights;
  readonly up: LinearWeights;
  readonly down: LinearWeights;
}

/** The weights of one layer's block. */
export function gatedWeights({ size, bias }: GatedSpec, hiddenSize: number, at: LayerNames): GatedWeights {
  const linear = (part: string, rows: number, cols: number): LinearWeights =>
    linearWeights(
      { name: `${at.ours}.mlp.${part}`, layer: at.layer },
      [{ module: `${at.theirs}.mlp.${part}_proj`, rows }],
      {
        cols,
        bias,
      },
    );
  return {
    gate: linear('gate', size, hiddenSize),
    up: linear('up', size, hiddenSize),
    down: linear('down', hiddenSize, size),
  };
}

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
export function emitGated(context: DecoderContext, x: Value, spec: GatedSpec, at: LayerNames): Value {
  const { graph } = context;
  const name = `${at.node}/mlp`;
  const weights = gatedWeights(spec, context.spec.hiddenSize, at);
  const linear = (input: Value, part: keyof GatedWeights) =>
    emitLinear(context, input, { name: `${name}/${part}_proj`, ...weights[part] });

  const gate = linear(x, 'gate'); // [S, intermediate]
  const up = linear(x, 'up'); // [S, intermediate]
  const sigmoid = graph.node('Sigmoid', [gate], { name: `${name}/act_fn/Sigmoid` });
  const activated = graph.node('Mul', [gate, sigmoid], { name: `${name}/act_fn/Mul` });
  const gated = graph.node('Mul', [activated, up], { name: `${name}/Mul` }); // [S, intermediate]
  return linear(gated, 'down'); // [S, hidden]
}
