/**
 * Cuts a matrix by rows into parts that each fit one buffer. Pure.
 *
 * In: a matrix of `rows` rows, and the largest buffer. Out: its parts in order; one where it fits whole. Guarantees: all parts
 * but the last have the same number of rows (the graph finds a token's part by division), the last one no more than that;
 * as few parts as fit, and as even as multiples of {@link ROW_MULTIPLE} allow. What no reasonable cut helps (a row that is
 * itself too large, thousands of parts) is left whole: whoever checks the buffers against the limit will say so.
 */
import type { TensorSource } from '../../contract/plan.ts';
import { countBefore } from '../../base/gaps.ts';

/** Rows `[firstRow, firstRow + rowCount)`. */
export interface RowRange {
  readonly firstRow: number;
  readonly rowCount: number;
}

/** Kernels walk matrices in tiles of 8, 16 or 32 rows: parts that are whole tiles leave no half-empty one but the last. */
const ROW_MULTIPLE = 32;

/** Buffers are allocated in multiples of this (onnxruntime wants it so), and the rounded size must be within the limit. */
const BUFFER_MULTIPLE_BYTES = 16;

/**
 * A graph with more parts of one tensor is nothing that a device would run; laying it out would only delay the answer that the
 * model does not fit. WebGPU's least limit, 128 MiB, makes 20 parts of the largest embedding there is.
 */
const MAX_PARTS = 4_096;

/** See the file's header. `rowBytes`: of one row in the largest of its buffers. */
export function splitRows(rows: number, rowBytes: number, maxBufferBytes: number): readonly RowRange[] {
  const usableBytes = Math.floor(maxBufferBytes / BUFFER_MULTIPLE_BYTES) * BUFFER_MULTIPLE_BYTES;
  const rowsThatFit = Math.floor(usableBytes / rowBytes);
  if (rows <= rowsThatFit || rowsThatFit === 0) return [{ firstRow: 0, rowCount: rows }];
  const multiple = rowsThatFit >= ROW_MULTIPLE ? ROW_MULTIPLE : 1;
  const mostRows = Math.floor(rowsThatFit / multiple) * multiple;
  const partCount = Math.ceil(rows / mostRows);
  if (partCount > MAX_PARTS) return [{ firstRow: 0, rowCount: rows }];
  const partRows = Math.ceil(rows / partCount / multiple) * multiple; // never above mostRows: that is such a multiple too
  return Array.from({ length: Math.ceil(rows / partRows) }, (_, index) => ({
    firstRow: index * partRows,
    rowCount: Math.min(partRows, rows - index * partRows),
  }));
}

/** What of the stacked sources lies in a range of rows, each cut to it. */
export function cutSources(sources: readonly TensorSource[], range: RowRange): readonly TensorSource[] {
  const endRow = range.firstRow + range.rowCount;
  let sourceRow = 0;
  return sources.flatMap((source) => {
    const { padding } = source;
    const [ownRows = 1, ...rowDims] = source.shape;
    const rowCount = padding?.rowCount ?? ownRows;
    const from = Math.max(range.firstRow, sourceRow) - sourceRow;
    const to = Math.min(endRow, sourceRow + rowCount) - sourceRow;
    sourceRow += rowCount;
    if (from >= to) return [];
    const first = padding?.firstRow ?? 0;
    const ownBefore = (row: number): number =>
      countBefore(padding?.rows ?? null, first + row) - countBefore(padding?.rows ?? null, first);
    const [fromOwn, toOwn] = [ownBefore(from), ownBefore(to)];
    const rowBytes = (source.end - source.start) / ownRows;
    return [
      {
        ...source,
        shape: [toOwn - fromOwn, ...rowDims],
        start: source.start + fromOwn * rowBytes,
        end: source.start + toOwn * rowBytes,
        ...(padding ? { padding: { ...padding, firstRow: first + from, rowCount: to - from } } : {}),
      },
    ];
  });
}
