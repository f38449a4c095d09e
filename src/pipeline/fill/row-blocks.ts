/**
 * How stage 5 walks a checkpoint: tensors cut into blocks of whole rows, blocks gathered into reads.
 *
 * In: planned weights. Out: row blocks, and spans of neighbouring blocks that are read at once. Pure.
 * Guarantees: every source byte lies in exactly one block; a read is at most {@link MAX_READ_BYTES} long, unless a single row
 * is longer, so that no large tensor is ever in memory whole.
 */
import { assert } from '../../base/assert.ts';
import type { PlannedWeight, SourceDtype, TensorSource } from '../../contract/plan.ts';
import { isQuantEncoding } from '../../formats/quant-layout.ts';
import { SOURCE_DTYPE_BYTES } from '../../formats/safetensors-dtypes.ts';

/** Two reads are in memory at a time, and one block's result: 8 MiB in all. Larger reads gain nothing measurable. */
export const MAX_READ_BYTES = 2 * 2 ** 20;

/** Whole rows of one source tensor, with their place in the weight. */
export interface RowBlock {
  readonly weight: PlannedWeight;
  readonly source: TensorSource;
  readonly dtype: SourceDtype;
  /** Bytes in the source's file, half-open. */
  readonly start: number;
  readonly end: number;
  /** Rows in the weight, half-open. Where an encoding has no rows (f32, f16), each value is a row of one. */
  readonly firstRow: number;
  readonly rowCount: number;
  readonly cols: number;
}

/** Neighbouring blocks of one file. */
export interface ReadSpan {
  readonly file: string;
  readonly start: number;
  readonly end: number;
  readonly blocks: readonly RowBlock[];
}

/** The blocks of one weight, in the order of its sources. Computed weights have none. */
export function listRowBlocks(weight: PlannedWeight, maxBytes = MAX_READ_BYTES): readonly RowBlock[] {
  const cols = isQuantEncoding(weight.encoding) ? weight.cols : 1;
  const blocks: RowBlock[] = [];
  let firstRow = 0;
  for (const source of weight.sources) {
    const rowBytes = cols * SOURCE_DTYPE_BYTES[source.dtype];
    const sourceRows = (source.end - source.start) / rowBytes;
    assert(Number.isInteger(sourceRows), `${source.tensor} is whole rows of ${weight.name}`);
    const blockRows = Math.max(1, Math.floor(maxBytes / rowBytes));
    for (let row = 0; row < sourceRows; row += blockRows) {
      const rowCount = Math.min(blockRows, sourceRows - row);
      const start = source.start + row * rowBytes;
      const end = start + rowCount * rowBytes;
      blocks.push({ weight, source, dtype: source.dtype, start, end, firstRow: firstRow + row, rowCount, cols });
    }
    firstRow += sourceRows;
  }
  return blocks;
}

/** All blocks of all weights as reads, in file order: the order in which a download delivers them. */
export function listReadSpans(
  weights: readonly PlannedWeight[],
  weightFiles: readonly { readonly path: string }[],
  maxBytes = MAX_READ_BYTES,
): readonly ReadSpan[] {
  const fileOrder = new Map(weightFiles.map(({ path }, index) => [path, index]));
  const rank = ({ source }: RowBlock): number => {
    const index = fileOrder.get(source.file);
    assert(index !== undefined, `${source.file} is one of the plan's weight files`);
    return index;
  };
  const blocks = weights
    .flatMap((weight) => listRowBlocks(weight, maxBytes))
    .sort((a, b) => rank(a) - rank(b) || a.start - b.start);

  const spans: { file: string; start: number; end: number; blocks: RowBlock[] }[] = [];
  for (const block of blocks) {
    const last = spans.at(-1);
    const joins =
      last && last.file === block.source.file && last.end === block.start && block.end - last.start <= maxBytes;
    if (joins) {
      last.end = block.end;
      last.blocks.push(block);
    } else {
      spans.push({ file: block.source.file, start: block.start, end: block.end, blocks: [block] });
    }
  }
  return spans;
}
