/**
 * How each dtype encodes each weight, and the buffers and graph tensors that follow. Pure.
 *
 * In: a weight's role and size, a dtype, and the largest buffer that the device binds. Out: its encoding, the buffers that
 * stage 5 fills, and the tensors that the graph declares over them; in parts, where one buffer cannot hold it. Names: a plain
 * buffer is named like its weight or part; a quantised one has `.blocks` and `.scales`.
 */
import type { WeightSpec } from '../../blueprints/blueprint.ts';
import type { CacheSpec } from '../../contract/caches.ts';
import {
  type Dtype,
  type GraphTensor,
  QUANT_BLOCK_SIZE,
  type WeightBuffer,
  type WeightEncoding,
  type WeightPart,
  type WeightTensors,
} from '../../contract/plan.ts';
import {
  BLOB_BYTES,
  countRowBlocks,
  isQuantEncoding,
  type QuantEncoding,
  SCALE_BYTES,
  type ScaleType,
} from '../../formats/quant-layout.ts';
import { splitRows } from './split-rows.ts';

/** A weight, or one of its parts, as a dtype lays it out. */
export interface WeightLayout {
  /** The weight's name, or `<name>.part<index>`. */
  readonly name: string;
  readonly rows: number;
  readonly part: WeightPart | null;
  readonly encoding: WeightEncoding;
  readonly buffers: readonly WeightBuffer[];
  readonly tensors: WeightTensors;
}

type Sized = Pick<WeightSpec, 'name' | 'role' | 'rows' | 'cols'>;

/** Whether a dtype computes in float16, so that the device must have it. */
export function needsFloat16(dtype: Dtype): boolean {
  return dtype === 'fp16' || dtype === 'q4f16';
}

/** The number format of activations, and of what is kept of them from run to run. */
export function chooseActivationType(dtype: Dtype): CacheSpec['type'] {
  return needsFloat16(dtype) ? 'float16' : 'float32';
}

/** The encoding of one weight. */
function chooseEncoding({ role, cols }: Pick<WeightSpec, 'role' | 'cols'>, dtype: Dtype): WeightEncoding {
  const plain = needsFloat16(dtype) ? 'f16' : 'f32';
  if (role === 'norm') return 'f32'; // norms compute in float32 in every dtype: see the graph's residual stream
  if (dtype === 'fp32' || dtype === 'fp16') return plain;
  switch (role) {
    case 'matmul':
      return dtype === 'q8' ? 'q8' : 'q4';
    case 'lmHead':
    case 'embedding':
    case 'tiedEmbedding':
      // One bit-width more than the rest: its error reaches every logit unaveraged (and, tied, every input too), where
      // that of an inner matrix is diluted by the residual stream. llama.cpp's mixed formats do the same (Q6_K for output).
      // GatherBlockQuantized reads whole blocks: a row that is none stays plain, the head with it for one rule.
      return cols % QUANT_BLOCK_SIZE === 0 ? 'q8' : plain;
    case 'bias':
    case 'headNorm': // attention's kernel takes one type for all its inputs
    case 'rotary':
      return plain; // a thousandth of the bytes, and far more sensitive than its share
    default:
      return role satisfies never;
  }
}

/** The layout of one weight: one element, or one a part where a single buffer would be larger than `maxBufferBytes`. */
export function layOutWeight(weight: Sized, dtype: Dtype, maxBufferBytes: number): readonly WeightLayout[] {
  const encoding = chooseEncoding(weight, dtype);
  const scaleType = needsFloat16(dtype) ? 'float16' : 'float32';
  return splitRows(weight.rows, countRowBytes(weight.cols, encoding), maxBufferBytes).map(
    ({ firstRow, rowCount }, index, { length }) => {
      const name = length === 1 ? weight.name : `${weight.name}.part${index}`;
      const sized = { ...weight, name, rows: rowCount };
      return {
        name,
        rows: rowCount,
        part: length === 1 ? null : { of: weight.name, firstRow },
        encoding,
        ...(isQuantEncoding(encoding) ? layOutBlocks(sized, encoding, scaleType) : layOutValues(sized, encoding)),
      };
    },
  );
}

/** Bytes of one row in the largest of a weight's buffers: blocks are larger than their scales. */
function countRowBytes(cols: number, encoding: WeightEncoding): number {
  if (isQuantEncoding(encoding)) return countRowBlocks(cols) * BLOB_BYTES[encoding];
  return cols * (encoding === 'f16' ? 2 : 4);
}

type Buffers = Pick<WeightLayout, 'buffers' | 'tensors'>;

function layOutValues({ name, role, rows, cols }: Sized, encoding: 'f32' | 'f16'): Buffers {
  const type = encoding === 'f16' ? 'float16' : 'float32';
  const sizeBytes = rows * cols * (encoding === 'f16' ? 2 : 4);
  const dims = role === 'norm' || role === 'headNorm' || role === 'bias' ? [cols] : [rows, cols];
  return {
    buffers: [{ role: 'values', name, type, sizeBytes }],
    tensors: { values: { name, type, dims, buffer: name } },
  };
}

function layOutBlocks({ name, role, rows, cols }: Sized, encoding: QuantEncoding, scaleType: ScaleType): Buffers {
  const rowBlocks = countRowBlocks(cols);
  const blobBytes = BLOB_BYTES[encoding];
  const [blocks, scales] = [`${name}.blocks`, `${name}.scales`];
  const buffers: WeightBuffer[] = [
    { role: 'blocks', name: blocks, type: 'uint8', sizeBytes: rows * rowBlocks * blobBytes },
    { role: 'scales', name: scales, type: scaleType, sizeBytes: rows * rowBlocks * SCALE_BYTES[scaleType] },
  ];
  // MatMulNBits wants [rows, blocks, blob], GatherBlockQuantized [rows, bytes of a row]: the same bytes.
  const forMatMul: GraphTensor = { name: blocks, type: 'uint8', dims: [rows, rowBlocks, blobBytes], buffer: blocks };
  const forGather: GraphTensor = {
    name: `${name}.gather`,
    type: 'uint8',
    dims: [rows, rowBlocks * blobBytes],
    buffer: blocks,
  };
  return {
    buffers,
    tensors: {
      blocks: role === 'embedding' ? null : forMatMul,
      gather: role === 'embedding' || role === 'tiedEmbedding' ? forGather : null,
      scales: { name: scales, type: scaleType, dims: [rows, rowBlocks], buffer: scales },
    },
  };
}
