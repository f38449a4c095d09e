/**
 * One row block → the bytes that it contributes to each buffer of its weight, with their places.
 */
import { assert } from '../../base/assert.ts';
import { LoadError } from '../../contract/errors.ts';
import type { PlannedWeight, WeightBuffer } from '../../contract/plan.ts';
import {
  BLOB_BYTES,
  countRowBlocks,
  isQuantEncoding,
  SCALE_BYTES,
  type ScaleType,
} from '../../formats/quant-layout.ts';
import { encodeRows, type TakeMemory } from './kernels/encode-rows.ts';
import type { RowBlock } from './row-blocks.ts';
import { spreadBlock } from './spread-block.ts';

/** Bytes for one buffer. */
export interface BufferPiece {
  readonly buffer: string;
  readonly offset: number;
  readonly bytes: Uint8Array<ArrayBuffer>;
}

/**
 * Encodes a block's checkpoint bytes, in memory that may be the caller's.
 * @throws LoadError `unsupported_dtype` where a value is too large for float16
 */
export function encodeBlock(block: RowBlock, sourceBytes: Uint8Array, takeMemory?: TakeMemory): readonly BufferPiece[] {
  const { weight, firstRow } = block;
  const find = (role: WeightBuffer['role']): WeightBuffer | undefined =>
    weight.buffers.find((buffer) => buffer.role === role);
  const scales = find('scales');
  const scaleType: ScaleType = scales?.type === 'float16' ? 'float16' : 'float32';
  const encoded = encodeRows(
    spreadBlock(block, sourceBytes),
    block.codec,
    block.cols,
    block.rowCount,
    weight.encoding,
    scaleType,
    takeMemory,
  );
  if ('values' in encoded) {
    if (encoded.infiniteCount > 0) throw tooLargeForF16(block, encoded.infiniteCount);
    const values = find('values');
    assert(values, `${weight.name} has a buffer of values`);
    const valueBytes = weight.encoding === 'f16' ? 2 : 4;
    return [{ buffer: values.name, offset: firstRow * block.cols * valueBytes, bytes: encoded.values }];
  }
  const blocks = find('blocks');
  assert(blocks && scales && isQuantEncoding(weight.encoding), `${weight.name} has blocks and scales`);
  const firstBlock = firstRow * countRowBlocks(weight.cols);
  return [
    { buffer: blocks.name, offset: firstBlock * BLOB_BYTES[weight.encoding], bytes: encoded.blocks },
    { buffer: scales.name, offset: firstBlock * SCALE_BYTES[scaleType], bytes: encoded.scales },
  ];
}

/** A computed table, whole, in its weight's encoding (f32 or f16). */
export function encodeTable(weight: PlannedWeight, table: Float32Array): readonly BufferPiece[] {
  const [buffer] = weight.buffers;
  assert(buffer && !isQuantEncoding(weight.encoding), `${weight.name} is a plain table`);
  assert(table.length === weight.rows * weight.cols, `the table of ${weight.name} has its planned size`);
  const source = new Uint8Array(table.buffer, table.byteOffset, table.byteLength);
  const encoded = encodeRows(source, 'f32', weight.cols, weight.rows, weight.encoding);
  assert('values' in encoded, `${weight.name} is encoded as plain values`);
  return [{ buffer: buffer.name, offset: 0, bytes: encoded.values }];
}

function tooLargeForF16({ weight, source }: RowBlock, count: number): LoadError {
  return new LoadError('unsupported_dtype', {
    message:
      `Tensor "${source.tensor}" in ${source.file} has values beyond ±65504, which float16 cannot hold. ` +
      'Choose fp32, q8 or q4.',
    detail: { tensor: source.tensor, file: source.file, weight: weight.name, count },
  });
}
