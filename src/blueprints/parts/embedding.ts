/**
 * Token ids → the first hidden states.
 */
import { assert } from '../../base/assert.ts';
import { type PlannedWeight, QUANT_BLOCK_SIZE } from '../../contract/plan.ts';
import { int, MICROSOFT_DOMAIN, ONNX_TYPE, text, type Value } from '../../onnx/graph-builder.ts';
import type { DecoderSpec } from '../../contract/decoder-spec.ts';
import type { WeightSpec } from '../blueprint.ts';
import type { DecoderContext } from './decoder-context.ts';
import { HEAD_TENSOR, matrix } from './weight-specs.ts';

const NAME = '/model/embed_tokens';

/** One row a token. A tied one is the head's matrix, too; a checkpoint may have saved it under either name. */
export function embeddingWeight({ vocabSize, hiddenSize, head }: DecoderSpec): WeightSpec {
  const place = { name: 'embed', layer: null };
  const source = { tensor: 'model.embed_tokens.weight', shape: [vocabSize, hiddenSize] };
  return head.tied
    ? matrix(place, 'tiedEmbedding', hiddenSize, [{ ...source, orElse: HEAD_TENSOR }])
    : matrix(place, 'embedding', hiddenSize, [source]);
}

/**
 * Emits the look-up of each token's row.
 *
 * ```
 *   f32, f16   input_ids [1, S] ─► Gather ─► Reshape ─► [S, hidden]
 *   q8, q4     input_ids [1, S] ─► (GatherBlockQuantized, or its parts) ─► Reshape ─► (Slice) ─► [S, hidden]
 * ```
 *
 * A row of quantised blocks is padded to whole blocks of 32, as the head reads it; where hidden is no multiple of 32, the
 * padding is looked up too and cut off again.
 */
export function emitEmbedding(context: DecoderContext, inputIds: Value): Value {
  const { graph, spec, weights } = context;
  const parts = weights.parts(embeddingWeight(spec).name);
  const rows =
    parts.length === 1
      ? emitLookUp(context, parts[0], inputIds, NAME)
      : emitPartedLookUp(context, parts, inputIds, parts[0].rows); // [S, hidden or padded]
  if (countRowValues(context, parts[0]) === spec.hiddenSize) return rows;
  const bounds = [[0], [spec.hiddenSize], [1]].map((values) => graph.constant('int64', values)); // starts, ends, axes
  return graph.node('Slice', [rows, ...bounds], { name: `${NAME}/Slice` }); // [S, hidden]
}

/**
 * Emits the look-up in a table of several parts: every token is looked up in each, and its own part's row is kept. All parts
 * but the last have `partRows` rows, so a token's part is a quotient and its row there the remainder.
 *
 * ```
 *   ids ─► Cast int32 ─┬─► Div partRows ─► owner ─► Mul partRows ─┐
 *                      └────────────────────────────────────────► Sub ─► row
 *
 *   row ─► look up in part 0 ─► so far ──────────────────────────────┐
 *   row ─► look up in part p ─► Where(owner = p, this, so far) ◄─────┘   for each p above 0
 * ```
 *
 * In the last part, which may be shorter, other parts' tokens look up row 0. Integers of 32 bits: onnxruntime's WebGPU
 * kernels for arithmetic and comparison take no others.
 */
function emitPartedLookUp(
  context: DecoderContext,
  parts: readonly PlannedWeight[],
  inputIds: Value,
  partRows: number,
): Value {
  const { graph } = context;
  const node = (opType: string, inputs: readonly Value[], name: string, attributes = {}): Value =>
    graph.node(opType, inputs, { name: `${NAME}/${name}`, attributes });
  const scalar = (value: number): Value => graph.constant('int32', value);

  const ids = node('Cast', [inputIds], 'ids/Cast', { to: int(ONNX_TYPE.int32) }); // [1, S]
  const owner = node('Div', [ids, scalar(partRows)], 'owner/Div'); // [1, S]
  const firstRow = node('Mul', [owner, scalar(partRows)], 'owner/Mul');
  const row = node('Sub', [ids, firstRow], 'row/Sub'); // [1, S], within [0, partRows)
  const ownerOfToken = emitReshape(context, owner, [-1, 1], 'owner/Reshape'); // [S, 1]

  return parts
    .map((part, index) => {
      let partRow = row;
      if (part.rows < partRows) {
        const isHere = node('Equal', [owner, scalar(index)], `part${index}/row/Equal`); // [1, S]
        partRow = node('Where', [isHere, row, scalar(0)], `part${index}/row/Where`); // [1, S], within [0, part.rows)
      }
      return emitLookUp(context, part, partRow, `${NAME}/part${index}`); // [S, hidden or padded]
    })
    .reduce((soFar, found, index) => {
      const isHere = node('Equal', [ownerOfToken, scalar(index)], `part${index}/Equal`); // [S, 1]
      return node('Where', [isHere, found, soFar], `part${index}/Where`);
    });
}

/** Emits the look-up in one planned table: [S, hidden], padded to whole blocks where it is quantised. */
function emitLookUp(context: DecoderContext, table: PlannedWeight, ids: Value, name: string): Value {
  const { graph, weights } = context;
  const { encoding, tensors } = table;
  const rowValues = countRowValues(context, table);
  if ('values' in tensors) {
    const rows = graph.node('Gather', [weights.tensor(tensors.values), ids], { name: `${name}/Gather` }); // [1, S, hidden]
    return emitReshape(context, rows, [-1, rowValues], 'Reshape', name);
  }
  const bits = encoding === 'q8' ? 8 : 4;
  assert(tensors.gather?.dims[1] === (rowValues * bits) / 8, 'a row of a quantised embedding is whole blocks');
  // On the CPU a tied embedding is gathered from the head's own tensor: a second one over the same bytes would be a second copy.
  const { gather, scales } = tensors;
  const blocks = weights.tensor(context.provider === 'cpu' ? (tensors.blocks ?? gather) : gather);
  const coded: CodedTable = { blocks, scales: () => weights.tensor(scales), bits };
  const rows =
    context.provider === 'webgpu'
      ? emitGatherBlockQuantized(context, coded, ids, name)
      : emitGatherAndDequantise(context, coded, ids, rowValues / QUANT_BLOCK_SIZE, name);
  return emitReshape(context, rows, [-1, rowValues], 'Reshape', name); // [S, padded]
}

/** Values that a look-up yields a token: hidden, or in whole blocks. */
function countRowValues({ spec }: DecoderContext, { encoding }: PlannedWeight): number {
  if (encoding === 'f32' || encoding === 'f16') return spec.hiddenSize;
  return Math.ceil(spec.hiddenSize / QUANT_BLOCK_SIZE) * QUANT_BLOCK_SIZE;
}

/** A quantised table in the graph. Its scales are declared behind what else a node declares. */
interface CodedTable {
  readonly blocks: Value;
  readonly scales: () => Value;
  readonly bits: 4 | 8;
}

function emitGatherBlockQuantized(
  { graph }: DecoderContext,
  { blocks, scales, bits }: CodedTable,
  ids: Value,
  name: string,
): Value {
  return graph.node(
    'GatherBlockQuantized',
    [blocks, ids, scales()], // [V, rowBytes], [1, S], [V, nBlocks]
    {
      name: `${name}/GatherBlockQuantized`,
      domain: MICROSOFT_DOMAIN,
      attributes: { bits: int(bits), block_size: int(QUANT_BLOCK_SIZE), gather_axis: int(0), quantize_axis: int(1) },
    },
  ); // [1, S, padded]
}

/**
 * Emits the same from ONNX's own operators, for the CPU provider: it has no GatherBlockQuantized in onnxruntime-web's
 * `/webgpu` and `/jspi` builds (seen in 1.31.0-dev.20260914: "Could not find an implementation"). Once it has, this can go.
 *
 * ```
 *                 (q4)  ┌─► BitwiseAnd 15 ─┐
 *   ids ─► Gather bytes ┤                  ├─► Concat ─► Cast ─► Sub zero ─► Mul ─► [S, nBlocks, 32]
 *                       └─► BitShift 4 ────┘                                  ▲
 *   ids ─► Gather scales ─────────────────────────────────────────────────────┘
 * ```
 */
function emitGatherAndDequantise(
  context: DecoderContext,
  { blocks, scales: declareScales, bits }: CodedTable,
  ids: Value,
  blockCount: number,
  name: string,
): Value {
  const { graph, activation } = context;
  const node = (opType: string, inputs: readonly Value[], step: string, attributes = {}): Value =>
    graph.node(opType, inputs, { name: `${name}/dequantise/${step}`, attributes });
  const reshape = (value: Value, dims: readonly number[], step: string): Value =>
    emitReshape(context, value, dims, `dequantise/${step}`, name);

  const bytes = node('Gather', [blocks, ids], 'bytes/Gather'); // [1, S, rowBytes], or [1, S, nBlocks, blockBytes]
  const scales = node('Gather', [declareScales(), ids], 'scales/Gather'); // [1, S, nBlocks]
  let codes = bytes;
  if (bits === 4) {
    const nibble = [-1, blockCount, QUANT_BLOCK_SIZE / 2, 1];
    const low = node('BitwiseAnd', [bytes, graph.constant('uint8', 15)], 'low/BitwiseAnd');
    const shift = { direction: text('RIGHT') };
    const high = node('BitShift', [bytes, graph.constant('uint8', 4)], 'high/BitShift', shift);
    const pair = [reshape(low, nibble, 'low/Reshape'), reshape(high, nibble, 'high/Reshape')];
    codes = node('Concat', pair, 'Concat', { axis: int(3) }); // [S, nBlocks, 16, 2]
  }
  const zero = graph.constant('int32', bits === 4 ? 8 : 128);
  const whole = node('Cast', [codes], 'whole/Cast', { to: int(ONNX_TYPE.int32) });
  const centred = node('Sub', [whole, zero], 'Sub');
  const float = node('Cast', [centred], 'float/Cast', { to: int(ONNX_TYPE[activation]) });
  return node(
    'Mul',
    [
      reshape(float, [-1, blockCount, QUANT_BLOCK_SIZE], 'Reshape'),
      reshape(scales, [-1, blockCount, 1], 'scales/Reshape'),
    ],
    'Mul',
  ); // [S, nBlocks, 32]
}

function emitReshape(
  { graph }: DecoderContext,
  value: Value,
  dims: readonly number[],
  step: string,
  name = NAME,
): Value {
  return graph.node('Reshape', [value, graph.constant('int64', dims)], { name: `${name}/${step}` });
}
