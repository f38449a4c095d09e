/**
 * Binds a model's GPU buffers to its graph's inputs and outputs.
 *
 * In: the plan that the buffers are as long as, and the buffers. Out: tensors by graph name, for any session of that graph. Guarantees: past and present of
 * a cache are one buffer.
 */
import type { Tensor } from 'onnxruntime-web';
import type { LoadPlan } from '../../contract/plan.ts';
import { listCacheNames } from '../decoder.ts';
import type { GpuBuffers } from './buffers.ts';
import type { Ort } from '../ort/onnxruntime.ts';
import { toRuntimeError } from '../ort/runtime-errors.ts';

/** Weights and past as inputs, present as outputs. */
export interface BoundModel {
  readonly feeds: Readonly<Record<string, Tensor>>;
  readonly fetches: Readonly<Record<string, Tensor>>;
}

/** @throws LoadError `runtime_failed` where a buffer is missing */
export function bindModel(ort: Ort, plan: LoadPlan, buffers: GpuBuffers): BoundModel {
  const feeds: Record<string, Tensor> = {};
  const fetches: Record<string, Tensor> = {};
  for (const { name, type, dims, buffer } of plan.graphTensors) {
    const gpuBuffer = buffers.weights.get(buffer);
    if (!gpuBuffer) throw toRuntimeError(new Error(`no buffer ${buffer}`), `binding ${name}`, null);
    feeds[name] = ort.Tensor.fromGpuBuffer(gpuBuffer, { dataType: type, dims });
  }
  for (const { past, present } of listCacheNames(plan.shape)) {
    const cache = buffers.kv.live.get(past);
    if (!cache) throw toRuntimeError(new Error(`no buffer ${past}`), 'binding the KV cache', null);
    const options = {
      dataType: plan.kvType,
      dims: [1, plan.shape.kvHeadCount, cache.tokens, plan.shape.paddedHeadDim],
    };
    feeds[past] = ort.Tensor.fromGpuBuffer(cache.buffer, options);
    fetches[present] = ort.Tensor.fromGpuBuffer(cache.buffer, options);
  }
  return { feeds, fetches };
}
