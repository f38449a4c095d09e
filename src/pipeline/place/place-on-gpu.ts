/**
 * Stage 6 on WebGPU: reserve, then stream.
 *
 * In: a plan and its graphs. Out: first a room with every buffer in it, before the first weight byte is asked for; then, while
 * the weights arrive, what runs on it. Guarantees: on any failure all of it is given back.
 */
import { computeRotary } from '../../blueprints/rotary/rotary.ts';
import { cleanUpAfter } from '../../base/clean-up.ts';
import { LoadError } from '../../contract/errors.ts';
import type { AdapterInfo } from '../../contract/load.ts';
import type { LoadPlan } from '../../contract/plan.ts';
import type { Decoder } from '../../runtime/decoder.ts';
import { reserveGpuBuffers } from '../../runtime/gpu/buffers.ts';
import type { GpuBuffers } from '../../runtime/gpu/buffers.ts';
import { createGpuDecoder } from '../../runtime/gpu/gpu-decoder.ts';
import { compareLayers } from '../../runtime/gpu/compare-layers.ts';
import type { LayerComparison } from '../../runtime/gpu/compare-layers.ts';
import { createGpuSkeleton } from '../../runtime/gpu/skeleton.ts';
import type { GpuSkeleton } from '../../runtime/gpu/skeleton.ts';
import { createGpuSession } from '../../runtime/gpu/session.ts';
import { openGpu } from '../../runtime/gpu/device.ts';
import type { GpuContext } from '../../runtime/gpu/device.ts';
import type { ContextResizing } from '../../runtime/gpu/kv-growth.ts';
import { loadOnnxRuntime } from '../../runtime/ort/onnxruntime.ts';
import type { ModelGraphs } from '../build/build.ts';
import { fillTables } from '../fill/fill.ts';
import { resizeContext } from '../plan/resize-context.ts';

/** A device with every buffer of a plan; the weights are still zeros. */
export interface GpuRoom {
  readonly plan: LoadPlan;
  readonly gpu: GpuContext;
  readonly buffers: GpuBuffers;
}

/** What runs on the buffers of a room. Releasing the decoder gives the room back, too. */
export interface GpuPlace {
  readonly decoder: Decoder;
  /** For warming while the weights arrive; whoever warms it releases it. */
  readonly skeleton: GpuSkeleton;
  /** Once the weights are there: a layer of each kind against WebAssembly. */
  readonly compareLayers: (signal: AbortSignal) => Promise<LayerComparison | null>;
  readonly adapter: AdapterInfo;
}

/** How the KV cache of a placed model grows. */
export const RESIZING: ContextResizing = {
  resize: resizeContext,
  fillTables: (plan, write) => fillTables({ plan, computeRotary, write }),
};

/** @throws LoadError `no_adapter`, `does_not_fit`, `out_of_memory`, `device_lost` */
export async function reserveOnGpu(plan: LoadPlan): Promise<GpuRoom> {
  const gpu = await openGpu(plan.limits);
  try {
    return { plan, gpu, buffers: await reserveGpuBuffers(plan, gpu) };
  } catch (error) {
    gpu.destroy(); // takes every buffer with it
    throw inPlace(error);
  }
}

/**
 * Until there is a decoder, the room is its owner's to give back. The signal ends the wait for the runtime.
 * @throws LoadError `aborted`, `runtime_failed`, `out_of_memory`, `device_lost`
 */
export async function openOnGpu(
  { plan, gpu, buffers }: GpuRoom,
  graphs: ModelGraphs,
  signal: AbortSignal,
): Promise<GpuPlace> {
  const sessions: { release(): Promise<void> }[] = [];
  try {
    const ort = await loadOnnxRuntime();
    const session = await createGpuSession({ ort, gpu, caches: plan.caches, graph: graphs.model }, 'the model', signal);
    sessions.push(session);
    const parts = { ort, gpu, plan, buffers };
    // After the model's: compiled programs live as long as a session on the device does.
    const skeleton = await createGpuSkeleton({ ...parts, graph: graphs.skeleton }, signal);
    sessions.push(skeleton);
    return {
      decoder: createGpuDecoder({ ...parts, graph: graphs.model, session, resizing: RESIZING }),
      skeleton,
      compareLayers: (runSignal) => compareLayers(parts, graphs.layers, runSignal),
      adapter: gpu.adapter,
    };
  } catch (error) {
    // Sessions lie in the runtime's heap, not on the device.
    for (const session of sessions) await cleanUpAfter(error, () => session.release());
    throw inPlace(error);
  }
}

/** Both run beside other stages. */
function inPlace(error: unknown): unknown {
  return error instanceof LoadError ? error.inStage('place') : error;
}
