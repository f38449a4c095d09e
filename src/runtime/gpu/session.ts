/**
 * A session on the device: needs a graph and the device, no buffer of the model.
 */
import type { InferenceSession } from 'onnxruntime-web';
import type { CacheSpec } from '../../contract/caches.ts';
import { toGpuError } from './errors.ts';
import type { GpuContext } from './device.ts';
import type { Ort } from '../ort/onnxruntime.ts';

/** The runtime's session. */
export type GpuSession = InferenceSession;

/** What a session is made from. */
export interface GpuSessionParts {
  readonly ort: Ort;
  readonly gpu: GpuContext;
  /** Of the whole model; those that the graph has no output for are passed over. */
  readonly caches: readonly CacheSpec[];
  readonly graph: Uint8Array<ArrayBuffer>;
}

/** What the model keeps stays on the device. `what` is said of a failure. @throws LoadError `runtime_failed`, `device_lost`, `out_of_memory` */
export async function createGpuSession(
  { ort, gpu, caches, graph }: GpuSessionParts,
  what: string,
): Promise<GpuSession> {
  try {
    return await ort.InferenceSession.create(graph, {
      executionProviders: [{ name: 'webgpu', device: gpu.device }],
      preferredOutputLocation: Object.fromEntries(caches.map(({ present }) => [present, 'gpu-buffer' as const])),
    });
  } catch (error) {
    throw await toGpuError(error, `creating the session of ${what}`, gpu);
  }
}
