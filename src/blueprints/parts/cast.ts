/**
 * Between the residual stream, which is float32, and the activations, which are float16 in some dtypes.
 *
 * Guarantees: where activations are float32 nothing is emitted, and the value itself comes back.
 */
import { int, ONNX_TYPE, type Value } from '../../onnx/graph-builder.ts';
import type { DecoderContext } from './decoder-context.ts';

type CastContext = Pick<DecoderContext, 'graph' | 'activation'>;

/** An activation → float32. `output`: its name, where it is a graph output. */
export function emitWiden(context: CastContext, value: Value, name: string, output?: string): Value {
  return emitCast(context, value, 'float32', name, output);
}

/** A float32 value → the activation type. */
export function emitNarrow(context: CastContext, value: Value, name: string): Value {
  return emitCast(context, value, context.activation, name);
}

function emitCast(
  { graph, activation }: CastContext,
  value: Value,
  to: DecoderContext['activation'],
  name: string,
  output?: string,
): Value {
  if (activation === 'float32') return value;
  const attributes = { to: int(ONNX_TYPE[to]) };
  return graph.node('Cast', [value], { name, attributes, ...(output === undefined ? {} : { output }) });
}
