/**
 * A session on the device: needs a graph and the device, no buffer of the model.
 */
import type { InferenceSession } from 'onnxruntime-web';
import type { DecoderShape } from '../../contract/plan.ts';
import { listCacheNames } from '../decoder.ts';
import { toGpuError } from './errors.ts';
import type { GpuContext } from './device.ts';
import type { Ort } from '../ort/onnxruntime.ts';

/** The runtime's session. */
export type GpuSession = InferenceSession;

/** What a session is made from. */
export interface GpuSessionParts {
  readonly ort: Ort;
  readonly gpu: GpuContext;
  /** As many layers as the graph has. */
  readonly shape: DecoderShape;
  readonly graph: Uint8Array<ArrayBuffer>;
}

/** Keys and values stay on the device. `what` is said of a failure. @throws LoadError `runtime_failed`, `device_lost`, `out_of_memory` */
export async function createGpuSession({ ort, gpu, shape, graph }: GpuSessionParts, what: string): Promise<GpuSession> {
  try {
    return await ort.InferenceSession.create(graph, {
      executionProviders: [{ name: 'webgpu', device: gpu.device }],
      preferredOutputLocation: Object.fromEntries(
        listCacheNames(shape).map(({ present }) => [present, 'gpu-buffer' as const]),
      ),
    });
  } catch (error) {
    throw await toGpuError(error, `creating the session of ${what}`, gpu);
  }
}
