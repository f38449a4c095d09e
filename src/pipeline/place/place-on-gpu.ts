/**
 * Stage 6 on WebGPU: reserve, then stream.
 *
 * In: a plan and its graph. Out: a decoder whose weights arrive while the download runs. Guarantees: every buffer is
 * reserved and the session exists before the first weight byte is asked for; on any failure all of it is given back.
 */
import { runTogether } from '../../base/together.ts';
import { computeRotary } from '../../blueprints/rotary.ts';
import { LoadError } from '../../contract/errors.ts';
import type { AdapterInfo } from '../../contract/load.ts';
import type { LoadPlan } from '../../contract/plan.ts';
import type { Decoder } from '../../runtime/decoder.ts';
import { reserveGpuBuffers } from '../../runtime/gpu-buffers.ts';
import type { GpuBuffers } from '../../runtime/gpu-buffers.ts';
import { createGpuDecoder } from '../../runtime/gpu-decoder.ts';
import { compareFirstLayer } from '../../runtime/gpu-first-layer.ts';
import type { LayerComparison } from '../../runtime/gpu-first-layer.ts';
import { createGpuSkeleton } from '../../runtime/gpu-skeleton.ts';
import type { GpuSkeleton } from '../../runtime/gpu-skeleton.ts';
import { createGpuSession } from '../../runtime/gpu-session.ts';
import type { GpuSession } from '../../runtime/gpu-session.ts';
import { openGpu } from '../../runtime/gpu.ts';
import type { ContextResizing } from '../../runtime/gpu-kv-growth.ts';
import { loadOnnxRuntime } from '../../runtime/onnxruntime.ts';
import type { ModelGraphs } from '../build.ts';
import { fillTables } from '../fill/fill.ts';
import { resizeContext } from '../plan/resize-context.ts';

/** A model's place on the GPU; its weights are still zeros. */
export interface GpuPlace {
  readonly decoder: Decoder;
  /** For warming while the weights arrive; whoever warms it releases it. */
  readonly skeleton: GpuSkeleton;
  readonly buffers: GpuBuffers;
  /** Once the weights are there: the first layer against WebAssembly. */
  readonly compareFirstLayer: () => Promise<LayerComparison | null>;
  readonly adapter: AdapterInfo;
}

/** How the KV cache of a placed model grows. */
export const RESIZING: ContextResizing = {
  resize: resizeContext,
  fillTables: (plan, write) => fillTables({ plan, computeRotary, write }),
};

/** @throws LoadError `no_adapter`, `does_not_fit`, `out_of_memory`, `device_lost`, `runtime_failed` */
export async function reserveOnGpu(plan: LoadPlan, graphs: ModelGraphs, signal: AbortSignal): Promise<GpuPlace> {
  const gpu = await openGpu(plan.limits);
  const sessions: { release(): Promise<void> }[] = [];
  try {
    const ort = await loadOnnxRuntime();
    // The device makes room while the runtime reads the graph: neither needs the other.
    const [buffers, session] = await runTogether<readonly [GpuBuffers, GpuSession]>(signal, [
      () => reserveGpuBuffers(plan, gpu),
      async () => {
        const made = await createGpuSession({ ort, gpu, shape: plan.shape, graph: graphs.model }, 'the model');
        sessions.push(made);
        return made;
      },
    ]);
    const parts = { ort, gpu, plan, buffers };
    // After the model's: compiled programs live as long as a session on the device does.
    const skeleton = await createGpuSkeleton({ ...parts, graph: graphs.skeleton });
    sessions.push(skeleton);
    return {
      decoder: createGpuDecoder({ ...parts, graph: graphs.model, session, resizing: RESIZING }),
      skeleton,
      buffers,
      compareFirstLayer: () => compareFirstLayer(parts, graphs.firstLayer),
      adapter: gpu.adapter,
    };
  } catch (error) {
    // Sessions lie in the runtime's heap, not on the device.
    for (const session of sessions) await session.release().catch(() => undefined);
    gpu.destroy(); // takes every buffer with it
    throw error instanceof LoadError ? error.inStage('place') : error;
  }
}
