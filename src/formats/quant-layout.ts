/**
 * The layout of block-quantised matrices, in one place for the plan (which sizes buffers) and the fill (which writes them).
 *
 * A row of `cols` values becomes ceil(cols / 32) blocks; the last one is padded with codes that mean zero. A block is a
 * blob of codes (q8: 32 bytes, one code each; q4: 16 bytes, two codes each, the earlier one in the low nibble) and one
 * scale. value = (code - zero code) × scale, with the zero codes that onnxruntime's MatMulNBits and GatherBlockQuantized
 * take where no zero points are given: 128 and 8.
 * Specification: onnxruntime docs/ContribOperators.md, com.microsoft.MatMulNBits; scales may be [rows, blocks] there
 * (one-dimensional scales are accepted for old models only).
 */
import { QUANT_BLOCK_SIZE, type WeightEncoding } from '../contract/plan.ts';

/** An encoding in blocks. */
export type QuantEncoding = Extract<WeightEncoding, 'q8' | 'q4'>;

/** Number format of a block's scale. */
export type ScaleType = 'float32' | 'float16';

/** Bytes of codes in a block. */
export const BLOB_BYTES: Readonly<Record<QuantEncoding, number>> = { q8: QUANT_BLOCK_SIZE, q4: QUANT_BLOCK_SIZE / 2 };

/** Bytes of a scale. */
export const SCALE_BYTES: Readonly<Record<ScaleType, number>> = { float32: 4, float16: 2 };

/** The code that stands for zero. */
export const ZERO_CODE: Readonly<Record<QuantEncoding, number>> = { q8: 128, q4: 8 };

/** Blocks in a row of `cols` values. */
export function countRowBlocks(cols: number): number {
  return Math.ceil(cols / QUANT_BLOCK_SIZE);
}

/** Whether an encoding is in blocks. */
export function isQuantEncoding(encoding: WeightEncoding): encoding is QuantEncoding {
  return encoding === 'q8' || encoding === 'q4';
}
