/**
 * How stage 5 walks a checkpoint: tensors cut into blocks of whole rows, blocks gathered into reads.
 *
 * In: planned weights. Out: row blocks, and spans of neighbouring blocks that are read at once. Pure.
 * Guarantees: every source byte lies in exactly one block; a read is at most {@link MAX_READ_BYTES} long, unless a single row
 * is longer, so that no large tensor is ever in memory whole.
 */
import { assert } from '../../base/assert.ts';
import type { CodecId, Gaps, PlannedWeight, TensorSource } from '../../contract/plan.ts';
import { countBefore, countSpread, findPosition } from '../../base/gaps.ts';
import { countStoredBytes } from '../../formats/codecs/codecs.ts';
import { isQuantEncoding } from '../../formats/quant-layout.ts';

/** Two reads are in memory at a time, and one block's result: 8 MiB in all. Larger reads gain nothing measurable. */
export const MAX_READ_BYTES = 2 * 2 ** 20;

/** Whole rows of one source tensor, with their place in the weight. */
export interface RowBlock {
  readonly weight: PlannedWeight;
  readonly source: TensorSource;
  readonly codec: CodecId;
  /** Bytes in the source's file, half-open. */
  readonly start: number;
  readonly end: number;
  /** Rows in the weight, half-open. Where an encoding has no rows (f32, f16), each value is a row of one. */
  readonly firstRow: number;
  readonly rowCount: number;
  readonly cols: number;
  /** Set where the rows and columns of the source are to be spread over those of the weight, with zeros between. */
  readonly spread: Spread | null;
}

/** See {@link SourcePadding}. */
interface Spread {
  readonly rows: Gaps | null;
  readonly cols: Gaps | null;
  /** The block's first row, counted from where the whole tensor begins in the weight. */
  readonly firstPosition: number;
  readonly sourceCols: number;
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
  if (weight.sources.some(({ padding }) => padding)) return listSpreadBlocks(weight, maxBytes);
  const cols = isQuantEncoding(weight.encoding) ? weight.cols : 1;
  const blocks: RowBlock[] = [];
  let firstRow = 0;
  for (const source of weight.sources) {
    const rowBytes = countStoredBytes(source.codec, cols);
    const sourceRows = (source.end - source.start) / rowBytes;
    assert(Number.isInteger(sourceRows), `${source.tensor} is whole rows of ${weight.name}`);
    const blockRows = Math.max(1, Math.floor(maxBytes / rowBytes));
    for (let row = 0; row < sourceRows; row += blockRows) {
      const rowCount = Math.min(blockRows, sourceRows - row);
      const start = source.start + row * rowBytes;
      const end = start + rowCount * rowBytes;
      blocks.push({
        weight,
        source,
        codec: source.codec,
        start,
        end,
        firstRow: firstRow + row,
        rowCount,
        cols,
        spread: null,
      });
    }
    firstRow += sourceRows;
  }
  return blocks;
}

/**
 * The same where there are zeros between rows or columns: a block takes the zeros behind its rows with it, the first one those
 * before them, too. A part of a weight may be zeros only: then its block reads nothing.
 */
function listSpreadBlocks(weight: PlannedWeight, maxBytes: number): readonly RowBlock[] {
  const blocks: RowBlock[] = [];
  let sourceRow = 0;
  for (const source of weight.sources) {
    const { codec, padding } = source;
    assert(padding, `all sources of ${weight.name} are padded`);
    const { rows, cols, rowCount } = padding;
    const [ownRows = 1, ...rowDims] = source.shape;
    const sourceCols = rowDims.reduce((product, dim) => product * dim, 1);
    const rowBytes = countStoredBytes(codec, sourceCols);
    assert(source.end - source.start === ownRows * rowBytes, `${source.tensor} is whole rows of ${weight.name}`);
    const blockRows = Math.max(1, Math.floor(maxBytes / rowBytes));
    const ownRowsBefore = countBefore(rows, padding.firstRow);
    const endOf = (ownRow: number): number =>
      ownRow >= ownRows ? rowCount : findPosition(rows, ownRowsBefore + ownRow) - padding.firstRow;
    let row = 0;
    for (let ownRow = 0; ownRow < ownRows || row < rowCount; ownRow += blockRows) {
      const ownEnd = Math.min(ownRow + blockRows, ownRows);
      blocks.push({
        weight,
        source,
        codec,
        start: source.start + ownRow * rowBytes,
        end: source.start + ownEnd * rowBytes,
        firstRow: sourceRow + row,
        rowCount: endOf(ownEnd) - row,
        cols: countSpread(cols, sourceCols),
        spread: { rows, cols, firstPosition: padding.firstRow + row, sourceCols },
      });
      row = endOf(ownEnd);
    }
    sourceRow += rowCount;
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

/** Where the last read of each file ends that is read at all, in file order. */
export function listReadEnds(
  weights: readonly PlannedWeight[],
  weightFiles: readonly { readonly path: string }[],
): ReadonlyMap<string, number> {
  const sources = weights.flatMap((weight) => weight.sources);
  return new Map(
    weightFiles.flatMap(({ path }): [string, number][] => {
      const ends = sources.filter(({ file }) => file === path).map(({ end }) => end);
      return ends.length > 0 ? [[path, ends.reduce((a, b) => Math.max(a, b))]] : [];
    }),
  );
}
