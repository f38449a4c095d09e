/**
 * A session on the device: needs a graph and the device, no buffer of the model.
 */
import type { CacheSpec } from '../../contract/caches.ts';
import { toGpuError } from './errors.ts';
import type { GpuContext } from './device.ts';
import type { Ort } from '../ort/onnxruntime.ts';
import type { Session, SessionOptions } from '../ort/sessions.ts';

/** What a session is made from. */
export interface GpuSessionParts {
  readonly ort: Ort;
  readonly gpu: GpuContext;
  /** Of the whole model; those that the graph has no output for are passed over. */
  readonly caches: readonly CacheSpec[];
  readonly graph: Uint8Array<ArrayBuffer>;
}

/**
 * What the model keeps stays on the device. `what` is said of a failure; the signal ends the wait for the runtime.
 * @throws LoadError `aborted`, `runtime_failed`, `device_lost`, `out_of_memory`
 */
export async function createGpuSession(
  { ort, gpu, caches, graph }: GpuSessionParts,
  what: string,
  signal?: AbortSignal,
): Promise<Session> {
  const options: SessionOptions = {
    executionProviders: [{ name: 'webgpu', device: gpu.device }],
    preferredOutputLocation: Object.fromEntries(caches.map(({ present }) => [present, 'gpu-buffer' as const])),
  };
  try {
    return await gpu.sessions.create(ort, graph, options, signal);
  } catch (error) {
    throw await toGpuError(error, `creating the session of ${what}`, gpu);
  }
}
