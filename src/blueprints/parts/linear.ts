/**
 * A linear layer, y = x Wᵀ + b, in whatever encoding the plan gave its weight.
 */
import { countSpread } from '../../base/gaps.ts';
import { assert, unreachable } from '../../base/assert.ts';
import { type Gaps, type PlannedWeight, QUANT_BLOCK_SIZE } from '../../contract/plan.ts';
import { int, MICROSOFT_DOMAIN, type Value } from '../../onnx/graph-builder.ts';
import type { WeightSpec } from '../blueprint.ts';
import { emitConcat } from './concat.ts';
import { matrix, vector, type WeightPlace } from './weight-specs.ts';
import type { DecoderContext } from './decoder-context.ts';

/** The weights of a linear layer. */
export interface LinearWeights {
  readonly weight: WeightSpec;
  readonly bias: WeightSpec | null;
}

/** A linear layer of the checkpoint: one of those whose outputs stand side by side in ours. */
export interface Projection {
  /** Its name, without `.weight`. */
  readonly module: string;
  readonly rows: number;
  /** Zeros between its rows. */
  readonly rowGaps?: Gaps | null;
}

/** Projections of the same input, stacked by rows; `colGaps`: zeros between the columns of each. */
export function linearWeights(
  at: WeightPlace,
  projections: readonly Projection[],
  options: { readonly cols: number; readonly bias: boolean; readonly colGaps?: Gaps | null },
): LinearWeights {
  const { cols, bias, colGaps = null } = options;
  const weight = matrix(
    at,
    'matmul',
    countSpread(colGaps, cols),
    projections.map(({ module, rows, rowGaps = null }) => ({
      tensor: `${module}.weight`,
      shape: [rows, cols],
      ...(rowGaps || colGaps ? { padding: { rows: rowGaps, cols: colGaps } } : {}),
    })),
  );
  if (!bias) return { weight, bias: null };
  const sources = projections.map(({ module, rows, rowGaps = null }) => ({
    tensor: `${module}.bias`,
    shape: [rows],
    ...(rowGaps ? { padding: { rows: rowGaps, cols: null } } : {}),
  }));
  return { weight, bias: vector({ ...at, name: `${at.name}.bias` }, 'bias', sources) };
}

/** A linear layer: its node's name, and its weights. */
export interface LinearOptions extends LinearWeights {
  readonly name: string;
  /** Name of the output, where it is a graph output. */
  readonly output?: string;
}

/**
 * Emits one node, which adds the bias itself; or, for a weight in parts, one a part and their outputs side by side.
 *
 * ```
 *   x [S, cols] ─┬─► part 0 ─► [S, rows 0] ─┐
 *                ├─► part 1 ─► [S, rows 1] ─┼─► Concat ─► (Add b) ─► [S, rows]
 *                └─► …                     ─┘
 * ```
 */
export function emitLinear(context: DecoderContext, x: Value, options: LinearOptions): Value {
  const { graph, weights } = context;
  const { name, output } = options;
  const [weight, ...others] = weights.parts(options.weight.name);
  const bias = options.bias ? weights.values(options.bias.name) : null; // [rows]
  const last = output === undefined ? {} : { output };
  if (others.length === 0) return emitProduct(context, x, weight, bias, { name, ...last });

  const products = [weight, ...others].map((part, index) =>
    emitProduct(context, x, part, null, { name: `${name}/part${index}` }),
  );
  const concat = { name: `${name}/Concat`, axis: 1 };
  if (bias === null) return emitConcat(graph, products, { ...concat, ...last }); // [S, rows]
  return graph.node('Add', [emitConcat(graph, products, concat), bias], { name: `${name}/Add`, ...last }); // [S, rows]
}

/**
 * Emits the product with one planned matrix, and its bias.
 *
 * ```
 *   f32, f16   x [S, cols] ─► Gemm(transB) ◄─ W [rows, cols], b [rows]            ─► [S, rows]
 *   q8, q4     x [S, cols] ─► MatMulNBits  ◄─ blocks, scales (and no zero points), b ─► [S, rows]
 * ```
 *
 * Gemm takes the matrix as the checkpoint has it, [out, in]: so a tied embedding is one buffer for its two readers.
 */
function emitProduct(
  { graph, weights }: DecoderContext,
  x: Value,
  weight: PlannedWeight,
  bias: Value | null,
  { name, ...output }: Pick<LinearOptions, 'name' | 'output'>,
): Value {
  const { rows, cols, encoding, tensors } = weight;
  switch (encoding) {
    case 'f32':
    case 'f16': {
      assert('values' in tensors, `${weight.name} is plain values`);
      const inputs = [x, weights.tensor(tensors.values), ...(bias ? [bias] : [])];
      return graph.node('Gemm', inputs, { name: `${name}/Gemm`, attributes: { transB: int(1) }, ...output }); // [S, rows]
    }
    case 'q8':
    case 'q4': {
      assert(!('values' in tensors) && tensors.blocks, `${weight.name} has blocks for a product`);
      const blocks = weights.tensor(tensors.blocks); // [rows, nBlocks, 32 or 16]
      const scales = weights.tensor(tensors.scales); // [rows, nBlocks]
      // Order: A, B, scales, zero_points, g_idx, bias.
      return graph.node('MatMulNBits', [x, blocks, scales, ...(bias ? [null, null, bias] : [])], {
        name: `${name}/MatMulNBits`,
        domain: MICROSOFT_DOMAIN,
        ...output,
        attributes: {
          K: int(cols),
          N: int(rows),
          bits: int(encoding === 'q8' ? 8 : 4),
          block_size: int(QUANT_BLOCK_SIZE),
        },
      }); // [S, rows]
    }
    default:
      return unreachable(encoding);
  }
}
