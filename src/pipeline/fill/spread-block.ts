/**
 * The checkpoint bytes of a block with zeros between its rows and columns: what an encoder gets where heads are padded.
 *
 * Zero is a run of zero bytes in every number format of safetensors that is read, so that this happens before encoding, once for
 * all encodings.
 */
import { SOURCE_DTYPE_BYTES } from '../../formats/safetensors/safetensors-dtypes.ts';
import { isGap } from '../../base/gaps.ts';
import type { RowBlock } from './row-blocks.ts';

/** The block's own bytes where nothing is to be spread; else new ones, `rowCount` × `cols` values. */
export function spreadBlock(block: RowBlock, sourceBytes: Uint8Array): Uint8Array {
  const { spread, rowCount } = block;
  if (spread === null) return sourceBytes;
  const valueBytes = SOURCE_DTYPE_BYTES[block.dtype];
  const rowBytes = block.cols * valueBytes;
  const sourceRowBytes = spread.sourceCols * valueBytes;
  const runBytes = spread.cols === null ? sourceRowBytes : spread.cols.run * valueBytes;
  const periodBytes = spread.cols === null ? rowBytes : runBytes + spread.cols.zeros * valueBytes;
  const spreadBytes = new Uint8Array(rowCount * rowBytes);
  let from = 0;
  for (let row = 0; row < rowCount; row++) {
    if (isGap(spread.rows, spread.firstPosition + row)) continue;
    for (let to = row * rowBytes; to < (row + 1) * rowBytes; to += periodBytes) {
      spreadBytes.set(sourceBytes.subarray(from, from + runBytes), to);
      from += runBytes;
    }
  }
  return spreadBytes;
}
