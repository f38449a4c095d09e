/**
 * Joins values along an axis, however many they are.
 */
import { int, type Value } from '../../onnx/graph-builder.ts';
import type { GraphBuilder } from '../../onnx/graph-builder.ts';

/**
 * Inputs of one Concat node. A WebGPU kernel reads each from a buffer of its own and every device grants 8 of them a stage,
 * one of which is the output. Given more, onnxruntime's kernel makes several passes that it places one behind the other, which
 * is right for a single row only (concat.cc, `output_offset`; seen in 1.31-dev). Once that is mended, one node will do.
 */
const MAX_INPUTS = 7;

/**
 * Emits one Concat, or a tree of them.
 *
 * ```
 *   parts 0…6  ─► Concat ─┐
 *   parts 7…13 ─► Concat ─┼─► Concat ─► whole
 *   part  14   ───────────┘
 * ```
 */
export function emitConcat(
  graph: GraphBuilder,
  parts: readonly Value[],
  options: { readonly name: string; readonly axis: number; readonly output?: string },
): Value {
  const { name, axis } = options;
  const output = options.output === undefined ? {} : { output: options.output };
  if (parts.length <= MAX_INPUTS) {
    return graph.node('Concat', parts, { name, attributes: { axis: int(axis) }, ...output });
  }
  const groups = Array.from({ length: Math.ceil(parts.length / MAX_INPUTS) }, (_, index) => {
    const group = parts.slice(index * MAX_INPUTS, (index + 1) * MAX_INPUTS);
    const [only] = group;
    return group.length === 1 && only ? only : emitConcat(graph, group, { name: `${name}/group${index}`, axis });
  });
  return emitConcat(graph, groups, options);
}
