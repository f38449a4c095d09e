/**
 * Stage 6 on WebAssembly: the runtime pulls each weight, converted, from the verified files, or from prepared weights.
 *
 * In: a plan, its graph, and complete files. Out: a decoder. Guarantees: one weight at a time is in memory besides the
 * runtime's own copy. Stage 5 (fill) runs inside this one, because onnxruntime asks for initializers synchronously.
 */
import { computeRotary } from '../../blueprints/rotary.ts';
import { LoadError } from '../../contract/errors.ts';
import type { LoadPlan } from '../../contract/plan.ts';
import type { Decoder } from '../../runtime/decoder.ts';
import { loadOnnxRuntime } from '../../runtime/onnxruntime.ts';
import { createWasmDecoder } from '../../runtime/wasm-decoder.ts';
import type { ReadableFile } from '../../store/readable-file.ts';
import { createBufferMaker } from '../fill/encode-whole.ts';
import type { PreparedWeights } from '../fill/prepared-weights.ts';

/** What placing on WASM needs besides plan and graph. */
export interface WasmPlaceParts {
  /** Path → complete, verified file. */
  readonly files: ReadonlyMap<string, ReadableFile>;
  readonly prepared: PreparedWeights;
  /** Told the size of each buffer that the runtime has taken. */
  readonly onBuffer: (sizeBytes: number) => void;
}

/** @throws LoadError `storage_failed`, `out_of_memory`, `runtime_failed`, and what filling throws */
export async function placeOnWasm(
  plan: LoadPlan,
  graph: Uint8Array<ArrayBuffer>,
  { files, prepared, onBuffer }: WasmPlaceParts,
): Promise<Decoder> {
  const readSync = (path: string, start: number, end: number): Uint8Array => {
    const file = files.get(path);
    if (!file) throw new LoadError('internal', { message: `${path} was not opened` });
    try {
      return file.readSync(start, end);
    } catch (error) {
      throw new LoadError('storage_failed', { message: `Reading ${path} failed.`, stage: 'fill', cause: error });
    }
  };
  const makeBuffer = createBufferMaker(plan, readSync, computeRotary);
  return createWasmDecoder({
    ort: await loadOnnxRuntime(),
    plan,
    graph,
    makeBuffer: (name, sizeBytes) => {
      const bytes = prepared.source?.readBuffer(name, sizeBytes) ?? makeBuffer(name);
      prepared.keeper?.keepWhole(name, bytes);
      onBuffer(bytes.byteLength);
      return bytes;
    },
  });
}
