/**
 * Binds a model's GPU buffers to its graph's inputs and outputs.
 *
 * In: the plan and its buffers. Out: tensors by graph name, for any session of that graph. Guarantees: past and present of
 * a cache are one buffer.
 */
import type { Tensor } from 'onnxruntime-web';
import type { LoadPlan } from '../contract/plan.ts';
import { listCacheNames } from './decoder.ts';
import type { GpuBuffers } from './gpu-buffers.ts';
import type { Ort } from './onnxruntime.ts';
import { toRuntimeError } from './runtime-errors.ts';

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
  const dims = [1, plan.shape.kvHeadCount, plan.contextTokens, plan.shape.headDim];
  for (const { past, present } of listCacheNames(plan.shape)) {
    const gpuBuffer = buffers.kvCaches.get(past);
    if (!gpuBuffer) throw toRuntimeError(new Error(`no buffer ${past}`), 'binding the KV cache', null);
    feeds[past] = ort.Tensor.fromGpuBuffer(gpuBuffer, { dataType: plan.kvType, dims });
    fetches[present] = ort.Tensor.fromGpuBuffer(gpuBuffer, { dataType: plan.kvType, dims });
  }
  return { feeds, fetches };
}
