/**
 * The weights of a graph under construction: by name, as graph inputs or as external-data initializers.
 *
 * In: the plan's weights. Out: {@link GraphWeights}. Guarantees: a tensor is declared when something
 * first asks for it and never otherwise, so that a graph of a few layers declares those layers' weights only; its type and
 * dims are the plan's, never derived again.
 */
import { assert } from '../../base/assert.ts';
import type { GraphTensor, GraphTensorType, PlannedWeight } from '../../contract/plan.ts';
import type { GraphBuilder, Value } from '../../onnx/graph-builder.ts';
import type { GraphRequest } from '../blueprint.ts';

/** Looks weights up and declares them. */
export interface GraphWeights {
  /** The weight as planned, alone; or its parts, from the first row to the last, where the plan split it. */
  parts(weight: string): readonly [PlannedWeight, ...PlannedWeight[]];
  /** A graph tensor of a planned weight, declared at its first use. */
  tensor(tensor: GraphTensor): Value;
  /** A weight of plain values that is never split: a norm's, a bias, a table. */
  values(weight: string): Value;
}

/** Weights that `graph` declares the way `binding` says. */
export function createGraphWeights(
  graph: GraphBuilder,
  { weights, binding }: Pick<GraphRequest, 'weights' | 'binding'>,
): GraphWeights {
  const partsByName = new Map<string, [PlannedWeight, ...PlannedWeight[]]>();
  for (const weight of weights) {
    const whole = weight.part?.of ?? weight.name;
    const parts = partsByName.get(whole);
    if (parts) parts.push(weight);
    else partsByName.set(whole, [weight]);
  }
  const declared = new Map<string, Value>();
  const tables = new Set(weights.flatMap(({ computed, buffers }) => (computed ? buffers.map(({ name }) => name) : [])));

  const declare = (tensor: GraphTensor): Value => {
    if (binding === 'inputs') {
      // Tables that are bound grow with the context, which the graph is not to be built anew for.
      const dims = tables.has(tensor.buffer) ? ['table_length', ...tensor.dims.slice(1)] : tensor.dims;
      return graph.input(tensor.name, tensor.type, dims);
    }
    // One file per buffer, so that the runtime mounts each buffer under its own name.
    const data = { location: `./${tensor.buffer}`, offset: 0, length: countBytes(tensor) };
    return graph.externalInitializer(tensor.name, tensor.type, tensor.dims, data);
  };

  const find = (name: string): readonly [PlannedWeight, ...PlannedWeight[]] => {
    const parts = partsByName.get(name);
    assert(parts, `the plan has no weight ${name}`);
    return parts;
  };
  const tensor = (found: GraphTensor): Value => {
    const value = declared.get(found.name) ?? declare(found);
    declared.set(found.name, value);
    return value;
  };
  return {
    parts: find,
    tensor,
    values(name) {
      const [{ tensors }, ...others] = find(name);
      assert('values' in tensors && others.length === 0, `${name} is one tensor of plain values`);
      return tensor(tensors.values);
    },
  };
}

const ELEMENT_BYTES: Readonly<Record<GraphTensorType, number>> = {
  uint8: 1,
  float16: 2,
  float32: 4,
  int32: 4,
  int64: 8,
};

function countBytes({ type, dims }: GraphTensor): number {
  return dims.reduce((product, dim) => product * dim, ELEMENT_BYTES[type]);
}
