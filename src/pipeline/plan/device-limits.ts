/**
 * What the plan needs to know about the GPU, from what WebGPU says about it.
 */
import { LoadError } from '../../contract/errors.ts';
import type { AdapterInfo, SimulatedLimits } from '../../contract/load.ts';
import type { PlannedLimits } from '../../contract/plan.ts';

/** The limits that decide what can be placed. */
export interface DeviceLimits extends PlannedLimits {
  /** Whether kernels can compute in float16. */
  readonly hasFloat16: boolean;
  /** Whether the "GPU" computes on the CPU, where WebAssembly is many times faster. */
  readonly isSoftware: boolean;
}

// What every WebGPU implementation grants (https://www.w3.org/TR/webgpu/#limits), for an adapter that names no limit.
const DEFAULT_MAX_BUFFER_BYTES = 256 * 2 ** 20;
const DEFAULT_MAX_BINDING_BYTES = 128 * 2 ** 20;

/**
 * The limits of an adapter, or smaller ones that were asked for; null where there is no adapter.
 * @throws LoadError `invalid_argument`
 */
export function readDeviceLimits(
  adapter: AdapterInfo | null,
  simulated: SimulatedLimits | null = null,
): DeviceLimits | null {
  if (simulated !== null) checkSimulated(simulated);
  if (!adapter) return null;
  const { maxBufferSize, maxStorageBufferBindingSize } = adapter.limits;
  const ownBytes = Math.min(
    maxBufferSize ?? DEFAULT_MAX_BUFFER_BYTES,
    maxStorageBufferBindingSize ?? DEFAULT_MAX_BINDING_BYTES,
  );
  const wantedBytes = simulated?.maxBufferBytes ?? Infinity;
  return {
    maxBufferBytes: Math.min(ownBytes, wantedBytes),
    simulated: wantedBytes < ownBytes,
    hasFloat16: adapter.features.includes('shader-f16'),
    isSoftware: adapter.isFallbackAdapter,
  };
}

function checkSimulated({ maxBufferBytes }: SimulatedLimits): void {
  if (Number.isSafeInteger(maxBufferBytes) && maxBufferBytes > 0) return;
  throw new LoadError('invalid_argument', {
    message: `simulatedLimits.maxBufferBytes is ${maxBufferBytes}; it must be a whole number above 0.`,
    detail: { maxBufferBytes },
  });
}
