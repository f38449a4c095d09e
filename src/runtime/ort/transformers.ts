/**
 * Loads transformers.js over our copy of onnxruntime-web.
 *
 * Out: the library's module. Guarantees: it uses the runtime that we loaded, and asks no network for anything: at import it
 * points the runtime at a CDN, which is undone here, and its own downloads are switched off.
 */
import type * as TransformersModule from '@huggingface/transformers';
import { loadOnnxRuntime } from './onnxruntime.ts';

/** transformers.js's module. */
export type Transformers = typeof TransformersModule;

let loading: Promise<Transformers> | undefined;

/** transformers.js; loaded at the first call. @throws LoadError `runtime_failed` */
export function loadTransformers(): Promise<Transformers> {
  loading ??= importTransformers().catch((error: unknown) => {
    loading = undefined;
    throw error;
  });
  return loading;
}

async function importTransformers(): Promise<Transformers> {
  const { env: runtimeEnv } = await loadOnnxRuntime();
  const { wasmPaths } = runtimeEnv.wasm;
  const { logLevel } = runtimeEnv;
  const transformers = await import('@huggingface/transformers');
  // transformers.js sets a CDN address where none is set (src/backends/onnx.js); ours come from the page's own bundle.
  if (wasmPaths === undefined) delete runtimeEnv.wasm.wasmPaths;
  else runtimeEnv.wasm.wasmPaths = wasmPaths;
  if (logLevel !== undefined) runtimeEnv.logLevel = logLevel;
  transformers.env.allowRemoteModels = false;
  transformers.env.allowLocalModels = false;
  return transformers;
}
