/**
 * The checkpoint bytes of a block with zeros between its rows and columns: what an encoder gets where heads are padded.
 *
 * Zero is a run of zero bytes in every codec, so that this happens before encoding, once for all encodings.
 */
import { countStoredBytes } from '../../formats/codecs/codecs.ts';
import { isGap } from '../../base/gaps.ts';
import type { RowBlock } from './row-blocks.ts';

/** The block's own bytes where nothing is to be spread; else new ones, `rowCount` × `cols` values. */
export function spreadBlock(block: RowBlock, sourceBytes: Uint8Array): Uint8Array {
  const { spread, rowCount } = block;
  if (spread === null) return sourceBytes;
  const bytesOf = (values: number): number => countStoredBytes(block.codec, values);
  const rowBytes = bytesOf(block.cols);
  const runBytes = bytesOf(spread.cols === null ? spread.sourceCols : spread.cols.run);
  const periodBytes = spread.cols === null ? rowBytes : runBytes + bytesOf(spread.cols.zeros);
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
