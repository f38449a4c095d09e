/**
 * Binds a model's GPU buffers to its graph's inputs and outputs.
 *
 * In: the plan that the buffers are as long as, and the buffers. Out: tensors by graph name, for a session of the model or of
 * some of its layers. Guarantees: past and present of a cache are one buffer.
 */
import type { Tensor } from 'onnxruntime-web';
import { cacheDims } from '../../base/cache-layout.ts';
import { listGraphTensors } from '../../base/weight-tensors.ts';
import type { LoadPlan } from '../../contract/plan.ts';
import type { GpuBuffers } from './buffers.ts';
import type { Ort } from '../ort/onnxruntime.ts';
import { toRuntimeError } from '../ort/runtime-errors.ts';

/** What a graph has inputs for: an onnxruntime session says so. */
export interface BoundGraph {
  readonly inputNames: readonly string[];
}

/** Weights and past as inputs, present as outputs. */
export interface BoundModel {
  readonly feeds: Readonly<Record<string, Tensor>>;
  readonly fetches: Readonly<Record<string, Tensor>>;
}

/**
 * Binds what `session` has inputs and outputs for: all of the model, or the layers that its graph is of.
 * @throws LoadError `runtime_failed` where a buffer is missing
 */
export function bindModel(ort: Ort, plan: LoadPlan, buffers: GpuBuffers, session: BoundGraph): BoundModel {
  const feeds: Record<string, Tensor> = {};
  const fetches: Record<string, Tensor> = {};
  const inputs = new Set(session.inputNames);
  for (const { name, type, dims, buffer } of listGraphTensors(plan.weights)) {
    if (!inputs.has(name)) continue;
    const gpuBuffer = buffers.weights.get(buffer);
    if (!gpuBuffer) throw toRuntimeError(new Error(`no buffer ${buffer}`), `binding ${name}`, null);
    feeds[name] = ort.Tensor.fromGpuBuffer(gpuBuffer, { dataType: type, dims });
  }
  for (const spec of plan.caches) {
    const { past, present } = spec;
    if (!inputs.has(past)) continue;
    const cache = buffers.kv.live.get(past);
    if (!cache) throw toRuntimeError(new Error(`no buffer ${past}`), 'binding a cache', null);
    const options = { dataType: spec.type, dims: cacheDims(spec, cache.tokens) };
    feeds[past] = ort.Tensor.fromGpuBuffer(cache.buffer, options);
    fetches[present] = ort.Tensor.fromGpuBuffer(cache.buffer, options);
  }
  return { feeds, fetches };
}
