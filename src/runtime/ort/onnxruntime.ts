/**
 * Loads onnxruntime-web once a worker and hands the same copy to transformers.js.
 *
 * Out: the runtime's module. Guarantees: one copy (two would mean two heaps and two GPU contexts); the `/jspi` build where
 * the browser has `WebAssembly.Suspending` (16.8 MB against 26.9 of `/webgpu`), and native WebGPU kernels in both. Sessions are
 * made by `sessions.ts` only.
 */
import type * as OnnxRuntime from 'onnxruntime-web';
import { LoadError } from '../../contract/errors.ts';
import { toRuntimeError } from './runtime-errors.ts';
import { SessionMaker, withQueuedSessions } from './sessions.ts';
import { watchWasmMemory } from './wasm-heap.ts';

/** The runtime's module. */
export type Ort = typeof OnnxRuntime;

/** transformers.js takes the runtime that stands here when it is first imported. */
const TRANSFORMERS_RUNTIME = Symbol.for('onnxruntime');

/** More threads than this gain nothing on the small matrices of a decode step. */
const MAX_THREADS = 8;

let loading: Promise<Ort> | undefined;
let starting: Promise<void> | undefined;

/**
 * The runtime; loaded at the first call, the same module afterwards. Waits for {@link startOnnxRuntime}, if that was called: the
 * runtime takes a second session, asked for while it starts for the first, for an error, and says only once why it did not start.
 * @throws LoadError `runtime_failed`, `out_of_memory`
 */
export async function loadOnnxRuntime(): Promise<Ort> {
  await starting;
  return importOnce();
}

function importOnce(): Promise<Ort> {
  loading ??= importRuntime().catch((error: unknown) => {
    loading = undefined; // a failed download must not poison later loads
    throw new LoadError('runtime_failed', {
      message: 'onnxruntime-web could not be loaded; check that its files are served with the page.',
      retryable: true,
      cause: error,
    });
  });
  return loading;
}

/**
 * Has the runtime's WASM fetched, compiled and started, which it does at its first session: of this graph. What went wrong is
 * said by {@link loadOnnxRuntime}; the next call tries again.
 */
export function startOnnxRuntime(graph: Uint8Array<ArrayBuffer>): void {
  const start = (): Promise<void> => openAndClose(graph);
  starting = starting?.catch(start) ?? start();
  starting.catch(() => undefined);
}

async function openAndClose(graph: Uint8Array<ArrayBuffer>): Promise<void> {
  const ort = await importOnce();
  try {
    await (await new SessionMaker().create(ort, graph, { executionProviders: ['wasm'] })).release();
  } catch (error) {
    throw toRuntimeError(error, 'starting the runtime', null);
  }
}

async function importRuntime(): Promise<Ort> {
  watchWasmMemory();
  const hasJspi = 'Suspending' in WebAssembly;
  const ort: Ort = hasJspi ? await import('onnxruntime-web/jspi') : await import('onnxruntime-web/webgpu');
  // Threads need SharedArrayBuffer, which a page has only when it is cross-origin isolated.
  ort.env.wasm.numThreads = crossOriginIsolated ? Math.min(navigator.hardwareConcurrency, MAX_THREADS) : 1;
  ort.env.logLevel = 'error';
  Object.defineProperty(globalThis, TRANSFORMERS_RUNTIME, { value: withQueuedSessions(ort), configurable: true });
  return ort;
}
