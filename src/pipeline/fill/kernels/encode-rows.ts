/**
 * Checkpoint bytes → the bytes of a weight buffer, for a block of whole rows.
 *
 * In: `rowCount` rows of `cols` values in a codec of `formats/codecs`, at any alignment.
 * Out: new, exactly sized arrays: `values` for f32 and f16, `blocks` and `scales` for q8 and q4. What takes less to convert than
 * getting new memory takes (f32, and what is only repacked) may be put where the caller wants it.
 * Guarantees: rows are independent: any split into row blocks gives the same bytes.
 */
import { assert } from '../../../base/assert.ts';
import { type CodecId, QUANT_BLOCK_SIZE, type WeightEncoding } from '../../../contract/plan.ts';
import type { PlainEncoding, ReadFloat32 } from '../../../formats/codecs/codec.ts';
import { CODECS, countStoredBytes } from '../../../formats/codecs/codecs.ts';
import { narrowToF16 } from '../../../formats/float16.ts';
import {
  BLOB_BYTES,
  countRowBlocks,
  isQuantEncoding,
  type QuantEncoding,
  type ScaleType,
} from '../../../formats/quant-layout.ts';
import { type FloatMemory, quantizeQ4, quantizeQ8 } from './quantize.ts';

/** Rows after encoding. */
export type EncodedRows =
  | {
      readonly values: Uint8Array<ArrayBuffer>;
      /** f16 only: how many values were too large for it and became infinite. */
      readonly infiniteCount: number;
    }
  | { readonly blocks: Uint8Array<ArrayBuffer>; readonly scales: Uint8Array<ArrayBuffer> };

/** Values that are converted at a time on their way to f16: small enough to stay in the processor's cache. */
const TILE_VALUES = 8192;

/** So many bytes to write into, whatever was in them; aligned to 4. */
export type TakeMemory = (sizeBytes: number) => Uint8Array<ArrayBuffer>;

const takeNew: TakeMemory = (sizeBytes) => new Uint8Array(sizeBytes);

/** Memory for one result at a time: it is good until the next one is asked for. */
export function createReusedMemory(): TakeMemory {
  let memory = new Uint8Array();
  return (sizeBytes) => {
    if (memory.length < sizeBytes) memory = new Uint8Array(sizeBytes);
    return memory.subarray(0, sizeBytes);
  };
}

/** Encodes `rowCount` rows. Vectors are rows of any width: for f32 and f16 only `rowCount` × `cols` matters. */
export function encodeRows(
  source: Uint8Array,
  codecId: CodecId,
  cols: number,
  rowCount: number,
  encoding: WeightEncoding,
  scaleType: ScaleType = 'float32',
  takeMemory: TakeMemory = takeNew,
): EncodedRows {
  const count = rowCount * cols;
  assert(source.length === countStoredBytes(codecId, count), 'a row block has as many bytes as its rows take');
  const codec = CODECS[codecId];
  if (isQuantEncoding(encoding)) return encodeBlocks(codec.toFloat32(source), cols, rowCount, encoding, scaleType);
  const repack = codec.repack?.[encoding];
  if (repack) {
    const values = takeMemory(count * VALUE_BYTES[encoding]);
    return { values, infiniteCount: repack(source, values) };
  }
  const read = codec.toFloat32(source);
  return encoding === 'f32' ? encodeF32(read, count, takeMemory(count * VALUE_BYTES.f32)) : encodeF16(read, count);
}

const VALUE_BYTES: Readonly<Record<PlainEncoding, number>> = { f32: 4, f16: 2 };

function encodeF32(read: ReadFloat32, count: number, values: Uint8Array<ArrayBuffer>): EncodedRows {
  read(0, count, new Uint32Array(values.buffer, values.byteOffset, count), 0);
  return { values, infiniteCount: 0 };
}

function encodeF16(read: ReadFloat32, count: number): EncodedRows {
  const values = new Uint16Array(count);
  const tile = borrowScratch(TILE_VALUES).patterns;
  let infiniteCount = 0;
  for (let at = 0; at < count; at += TILE_VALUES) {
    const tileCount = Math.min(TILE_VALUES, count - at);
    read(at, tileCount, tile, 0);
    infiniteCount += narrowToF16(tile, 0, tileCount, values, at);
  }
  return { values: new Uint8Array(values.buffer), infiniteCount };
}

function encodeBlocks(
  read: ReadFloat32,
  cols: number,
  rowCount: number,
  encoding: QuantEncoding,
  scaleType: ScaleType,
): EncodedRows {
  const rowBlocks = countRowBlocks(cols);
  const blocks = new Uint8Array(rowCount * rowBlocks * BLOB_BYTES[encoding]);
  const scales = new Float32Array(rowCount * rowBlocks);
  const row = borrowScratch(rowBlocks * QUANT_BLOCK_SIZE);
  row.patterns.fill(0, cols, rowBlocks * QUANT_BLOCK_SIZE); // the padded tail of every row
  const words = new Uint32Array(blocks.buffer);
  for (let r = 0; r < rowCount; r++) {
    read(r * cols, cols, row.patterns, 0);
    if (encoding === 'q8') quantizeQ8(row, rowBlocks, words, scales, r * rowBlocks, scaleType);
    else quantizeQ4(row, rowBlocks, blocks, scales, r * rowBlocks, scaleType);
  }
  return { blocks, scales: packScales(scales, scaleType) };
}

function packScales(scales: Float32Array<ArrayBuffer>, scaleType: ScaleType): Uint8Array<ArrayBuffer> {
  if (scaleType === 'float32') return new Uint8Array(scales.buffer);
  const half = new Uint16Array(scales.length);
  narrowToF16(new Uint32Array(scales.buffer), 0, scales.length, half, 0);
  return new Uint8Array(half.buffer);
}

// One row at most: kept between calls, because a large model has hundreds of thousands of them.
let scratch: (FloatMemory & { readonly patterns: Uint32Array }) | null = null;

function borrowScratch(valueCount: number): NonNullable<typeof scratch> {
  if (!scratch || scratch.values.length < valueCount) {
    const values = new Float32Array(valueCount);
    scratch = { values, bits: new Int32Array(values.buffer), patterns: new Uint32Array(values.buffer) };
  }
  return scratch;
}
