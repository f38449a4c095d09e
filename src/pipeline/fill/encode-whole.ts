/**
 * Stage 5 for WebAssembly: whole buffers, one weight at a time, made when the runtime asks for them.
 *
 * In: a plan and a synchronous reader of file ranges. Out: the bytes of a weight's buffers. Guarantees: the same bytes as
 * {@link fillWeights} writes, by the same walk; besides one weight's buffers, one read of 2 MiB is in memory.
 */
import { assert } from '../../base/assert.ts';
import type { LoadPlan, PlannedWeight } from '../../contract/plan.ts';
import { type ComputeRotary, createTableSource, type TableSource } from './computed-tables.ts';
import { Coverage } from './coverage.ts';
import { type BufferPiece, encodeBlock, encodeTable } from './encode-block.ts';
import { shortRead } from './fill.ts';
import { createReusedMemory, type TakeMemory } from './kernels/encode-rows.ts';
import { listRowBlocks } from './row-blocks.ts';

/** Exactly the bytes `[start, end)` of a file, now. */
export type ReadBytesSync = (file: string, start: number, end: number) => Uint8Array;

/** Buffers by name, each as long as planned. */
type EncodedBuffers = ReadonlyMap<string, Uint8Array<ArrayBuffer>>;

/**
 * All buffers of one weight.
 * @throws LoadError `size_mismatch` (a short read), `unsupported_dtype` (a value too large for float16)
 */
function encodeWhole(
  weight: PlannedWeight,
  readSync: ReadBytesSync,
  tables: TableSource,
  takeMemory: TakeMemory,
): EncodedBuffers {
  const buffers = new Map(weight.buffers.map(({ name, sizeBytes }) => [name, new Uint8Array(sizeBytes)]));
  const coverage = new Coverage(weight.buffers);
  const place = ({ buffer, offset, bytes }: BufferPiece): void => {
    coverage.add(buffer, offset, offset + bytes.length);
    buffers.get(buffer)?.set(bytes, offset);
  };
  if (weight.computed !== null) encodeTable(weight, tables(weight)).forEach(place);
  for (const block of listRowBlocks(weight)) {
    const { file } = block.source;
    const bytes = block.start === block.end ? new Uint8Array() : readSync(file, block.start, block.end);
    if (bytes.length !== block.end - block.start) throw shortRead(file, block.start, block.end, bytes.length);
    encodeBlock(block, bytes, takeMemory).forEach(place);
  }
  coverage.assertComplete();
  return buffers;
}

/**
 * A function that makes any buffer of the plan by its name. What a weight yields besides the buffer that was asked for (the
 * scales of its blocks) is kept until the next weight, so that asking for both costs one conversion.
 */
export function createBufferMaker(
  plan: Pick<LoadPlan, 'weights' | 'spec'>,
  readSync: ReadBytesSync,
  computeRotary: ComputeRotary,
): (bufferName: string) => Uint8Array<ArrayBuffer> {
  const weightByBuffer = new Map(plan.weights.flatMap((weight) => weight.buffers.map(({ name }) => [name, weight])));
  const tables = createTableSource(plan, computeRotary);
  const takeMemory = createReusedMemory();
  let siblings = new Map<string, Uint8Array<ArrayBuffer>>();
  return (bufferName) => {
    if (!siblings.has(bufferName)) {
      const weight = weightByBuffer.get(bufferName);
      assert(weight, `the plan has a buffer ${bufferName}`);
      siblings = new Map(encodeWhole(weight, readSync, tables, takeMemory));
    }
    const bytes = siblings.get(bufferName);
    siblings.delete(bufferName);
    assert(bytes, `${bufferName} was made`);
    return bytes;
  };
}
