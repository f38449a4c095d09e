/**
 * Stage 5, fill: checkpoint bytes → the buffers of the plan, in the planned encodings.
 *
 * In: a plan, a reader of file ranges and a sink for buffer bytes. Out: nothing but what the sink got.
 * Guarantees: files are read in order, each needed byte once, one read ahead of the conversion; at most two reads of 2 MiB
 * and one block's result are in memory; the sink is awaited, so its backpressure holds the reading back; offsets and lengths
 * are multiples of 4; when it returns, every byte of every buffer was written exactly once. On abort or failure it ends
 * only after the read under way has ended.
 */
import { assert } from '../../base/assert.ts';
import { throwIfAborted } from '../../base/abort.ts';
import { LoadError } from '../../contract/errors.ts';
import type { LoadPlan } from '../../contract/plan.ts';
import { AlignedWriter, type WriteBytes } from './aligned-writer.ts';
import { type ComputeRotary, createTableSource } from './computed-tables.ts';
import { encodeBlock, encodeTable } from './encode-block.ts';
import { createReusedMemory } from './kernels/encode-rows.ts';
import { listReadSpans, type ReadSpan } from './row-blocks.ts';

/** Exactly the bytes `[start, end)` of a file, good until the read after the next; must itself watch the signal. */
type ReadBytes = (file: string, start: number, end: number, signal: AbortSignal | undefined) => Promise<Uint8Array>;

/** What {@link fillWeights} needs. */
export interface FillRequest {
  readonly plan: Pick<LoadPlan, 'weights' | 'weightFiles' | 'spec'>;
  readonly read: ReadBytes;
  readonly write: WriteBytes;
  /** The rotary tables, as long as they are planned. */
  readonly computeRotary: ComputeRotary;
  readonly signal?: AbortSignal | undefined;
  /** Source bytes, after each row block; the total never changes. */
  readonly onProgress?: (progress: { readonly doneBytes: number; readonly totalBytes: number }) => void;
}

/**
 * Fills every weight buffer of a plan.
 * @throws LoadError `size_mismatch` (a short read), `unsupported_dtype` (a value too large for float16), `aborted`, `internal`
 */
export async function fillWeights(request: FillRequest): Promise<void> {
  const { plan, signal, onProgress } = request;
  const writer = new AlignedWriter(
    plan.weights.flatMap((weight) => weight.buffers),
    request.write,
  );
  const tables = createTableSource(plan, request.computeRotary);
  for (const weight of plan.weights) {
    throwIfAborted(signal);
    if (weight.computed === null) continue;
    for (const piece of encodeTable(weight, tables(weight))) await writer.write(piece);
  }

  const spans = listReadSpans(plan.weights, plan.weightFiles);
  const totalBytes = spans.reduce((sum, { start, end }) => sum + (end - start), 0);
  const takeMemory = createReusedMemory();
  let doneBytes = 0;
  for await (const { span, bytes } of readAhead(spans, request)) {
    for (const block of span.blocks) {
      throwIfAborted(signal);
      const blockBytes = bytes.subarray(block.start - span.start, block.end - span.start);
      for (const piece of encodeBlock(block, blockBytes, takeMemory)) await writer.write(piece);
      doneBytes += block.end - block.start;
      onProgress?.({ doneBytes, totalBytes });
    }
  }
  writer.assertComplete();
}

/** Fills the computed tables of a plan alone. @throws LoadError as {@link fillWeights} */
export async function fillTables({ plan, ...request }: Omit<FillRequest, 'read' | 'onProgress'>): Promise<void> {
  const tables = plan.weights.filter(({ computed }) => computed !== null);
  const read = (): Promise<never> => Promise.reject(new LoadError('internal', { message: 'a table has no file' }));
  await fillWeights({ ...request, plan: { ...plan, weights: tables }, read });
}

async function* readAhead(
  spans: readonly ReadSpan[],
  { read, signal }: FillRequest,
): AsyncGenerator<{ span: ReadSpan; bytes: Uint8Array }> {
  const startRead = (index: number): Promise<Uint8Array> | null => {
    const span = spans[index];
    if (!span) return null;
    const reading = readExactly(read, span, signal);
    // It is awaited only after the block before it is done; until then a failure must not count as unhandled.
    reading.catch(() => undefined);
    return reading;
  };
  let ahead = startRead(0);
  try {
    for (const [index, span] of spans.entries()) {
      throwIfAborted(signal);
      assert(ahead, 'each span has its read');
      const bytes = await ahead;
      ahead = startRead(index + 1);
      yield { span, bytes };
    }
  } finally {
    await ahead?.catch(() => undefined);
  }
}

async function readExactly(
  read: ReadBytes,
  { file, start, end }: ReadSpan,
  signal: AbortSignal | undefined,
): Promise<Uint8Array> {
  if (start === end) return new Uint8Array(); // a block of zeros only
  const bytes = await read(file, start, end, signal);
  if (bytes.length === end - start) return bytes;
  throw shortRead(file, start, end, bytes.length);
}

/** For reads that yield another number of bytes than was asked for. */
export function shortRead(file: string, start: number, end: number, receivedBytes: number): LoadError {
  return new LoadError('size_mismatch', {
    message: `${file}: bytes ${start} to ${end} were asked for, ${receivedBytes} came.`,
    detail: { file, start, end, receivedBytes },
  });
}
