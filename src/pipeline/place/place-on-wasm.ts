/**
 * Stage 6 on WebAssembly: the runtime pulls each weight, converted, from the verified files, from prepared weights, or from
 * memory where nothing is kept.
 *
 * In: a plan, its graph, and a source of whole buffers. Out: a decoder. Guarantees: from files, one weight at a time is in memory
 * besides the runtime's own copy. Stage 5 (fill) then runs inside this one, because onnxruntime asks for initializers
 * synchronously.
 */
import { computeRotary } from '../../blueprints/rotary/rotary.ts';
import { LoadError } from '../../contract/errors.ts';
import type { LoadPlan } from '../../contract/plan.ts';
import type { Decoder } from '../../runtime/decoder.ts';
import { loadOnnxRuntime } from '../../runtime/ort/onnxruntime.ts';
import { createWasmDecoder } from '../../runtime/wasm/wasm-decoder.ts';
import type { ReadableFile } from '../../store/readable-file.ts';
import { createBufferMaker } from '../fill/encode-whole.ts';
import type { PreparedWeights } from '../prepared/prepared-weights.ts';

/** A whole weight buffer, at once; good until the next one is made. */
export type MakeBuffer = (name: string, sizeBytes: number) => Uint8Array;

/**
 * `onBuffer` is told the size of each buffer that the runtime has taken. The signal ends the wait for the runtime.
 * @throws LoadError `aborted`, `storage_failed`, `out_of_memory`, `runtime_failed`, and what filling throws
 */
export async function placeOnWasm(
  plan: LoadPlan,
  graph: Uint8Array<ArrayBuffer>,
  makeBuffer: MakeBuffer,
  onBuffer: (sizeBytes: number) => void,
  signal: AbortSignal,
): Promise<Decoder> {
  const ort = await loadOnnxRuntime();
  const makeAndTell: MakeBuffer = (name, sizeBytes) => {
    const bytes = makeBuffer(name, sizeBytes);
    onBuffer(bytes.byteLength);
    return bytes;
  };
  return createWasmDecoder({ ort, plan, graph, makeBuffer: makeAndTell }, signal);
}

/** Buffers of prepared weights, else converted from complete, verified files (by path) when they are asked for. */
export function makeFromFiles(
  plan: LoadPlan,
  files: ReadonlyMap<string, ReadableFile>,
  prepared: PreparedWeights,
): MakeBuffer {
  const readSync = (path: string, start: number, end: number): Uint8Array => {
    const file = files.get(path);
    if (!file) throw new LoadError('internal', { message: `${path} was not opened` });
    try {
      return file.readSync(start, end);
    } catch (error) {
      throw new LoadError('storage_failed', { message: `Reading ${path} failed.`, stage: 'fill', cause: error });
    }
  };
  const convert = createBufferMaker(plan, readSync, computeRotary);
  return (name, sizeBytes) => {
    const bytes = prepared.source?.readBuffer(name, sizeBytes) ?? convert(name);
    prepared.keeper?.keepWhole(name, bytes);
    return bytes;
  };
}
