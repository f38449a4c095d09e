/**
 * A decoder on WebGPU: weights are graph inputs bound to our buffers, the KV cache is static.
 *
 * In: the graph (no weights in it) and the buffers of `gpu-buffers.ts`. Out: a {@link Decoder}. Guarantees: the session
 * exists before the weights do; no weight passes through the WASM heap; past and present are the same buffers, so a step
 * copies nothing.
 */
import type { InferenceSession, Tensor } from 'onnxruntime-web';
import type { LoadPlan } from '../contract/plan.ts';
import { GRAPH_IO, listCacheNames } from './decoder.ts';
import type { Decoder } from './decoder.ts';
import type { GpuBuffers } from './gpu-buffers.ts';
import type { GpuContext } from './gpu.ts';
import type { Ort } from './onnxruntime.ts';
import { toRuntimeError } from './runtime-errors.ts';

/** What a GPU decoder is made from. */
export interface GpuDecoderParts {
  readonly ort: Ort;
  readonly gpu: GpuContext;
  readonly plan: LoadPlan;
  readonly graph: Uint8Array<ArrayBuffer>;
  readonly buffers: GpuBuffers;
}

/** Takes over `buffers` and `gpu`: `release` destroys them. @throws LoadError `runtime_failed`, `device_lost` */
export async function createGpuDecoder({ ort, gpu, plan, graph, buffers }: GpuDecoderParts): Promise<Decoder> {
  const cacheNames = listCacheNames(plan.shape);
  let session: InferenceSession;
  try {
    session = await ort.InferenceSession.create(graph, {
      executionProviders: [{ name: 'webgpu', device: gpu.device }],
      preferredOutputLocation: Object.fromEntries(cacheNames.map(({ present }) => [present, 'gpu-buffer' as const])),
    });
  } catch (error) {
    throw toRuntimeError(error, 'creating the GPU session', gpu.lostReason());
  }
  const weights = bindWeights(ort, plan, buffers);
  const { feeds: pastFeeds, fetches } = bindCaches(ort, plan, buffers);

  return {
    contextTokens: plan.contextTokens,
    async run(ids, startPosition) {
      const total = startPosition + ids.length;
      const feeds = {
        ...weights,
        ...pastFeeds,
        [GRAPH_IO.inputIds]: new ort.Tensor('int64', BigInt64Array.from(ids, BigInt), [1, ids.length]),
        [GRAPH_IO.seqlensK]: new ort.Tensor('int32', Int32Array.of(total - 1), [1]),
        [GRAPH_IO.totalSequenceLength]: new ort.Tensor('int32', Int32Array.of(total), [1]),
      };
      try {
        const outputs = await session.run(feeds, { ...fetches, [GRAPH_IO.logits]: null });
        return outputs[GRAPH_IO.logits]?.data as Float32Array; // [V]
      } catch (error) {
        throw toRuntimeError(error, 'running the model', gpu.lostReason());
      }
    },
    async release() {
      try {
        await session.release();
      } finally {
        buffers.destroy();
        gpu.destroy();
      }
    },
  };
}

function bindWeights(ort: Ort, plan: LoadPlan, buffers: GpuBuffers): Record<string, Tensor> {
  return Object.fromEntries(
    plan.graphTensors.map(({ name, type, dims, buffer }) => {
      const gpuBuffer = buffers.weights.get(buffer);
      if (!gpuBuffer) throw toRuntimeError(new Error(`no buffer ${buffer}`), `binding ${name}`, null);
      return [name, ort.Tensor.fromGpuBuffer(gpuBuffer, { dataType: type, dims })];
    }),
  );
}

function bindCaches(ort: Ort, plan: LoadPlan, buffers: GpuBuffers) {
  const dims = [1, plan.shape.kvHeadCount, plan.contextTokens, plan.shape.headDim];
  const feeds: Record<string, Tensor> = {};
  const fetches: Record<string, Tensor> = {};
  for (const { past, present } of listCacheNames(plan.shape)) {
    const gpuBuffer = buffers.kvCaches.get(past);
    if (!gpuBuffer) throw toRuntimeError(new Error(`no buffer ${past}`), 'binding the KV cache', null);
    feeds[past] = ort.Tensor.fromGpuBuffer(gpuBuffer, { dataType: plan.kvType, dims });
    fetches[present] = ort.Tensor.fromGpuBuffer(gpuBuffer, { dataType: plan.kvType, dims });
  }
  return { feeds, fetches };
}
