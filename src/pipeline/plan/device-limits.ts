/**
 * What the plan needs to know about the GPU, from what WebGPU says about it.
 */
import type { AdapterInfo } from '../../contract/load.ts';

/** The limits that decide what can be placed. */
export interface DeviceLimits {
  /** The largest weight buffer: one binding of one buffer. */
  readonly maxBufferBytes: number;
  /** Whether kernels can compute in float16. */
  readonly hasFloat16: boolean;
}

// What every WebGPU implementation grants (https://www.w3.org/TR/webgpu/#limits), for an adapter that names no limit.
const DEFAULT_MAX_BUFFER_BYTES = 256 * 2 ** 20;
const DEFAULT_MAX_BINDING_BYTES = 128 * 2 ** 20;

/** The limits of an adapter; null where there is none. */
export function readDeviceLimits(adapter: AdapterInfo | null): DeviceLimits | null {
  if (!adapter) return null;
  const { maxBufferSize, maxStorageBufferBindingSize } = adapter.limits;
  return {
    maxBufferBytes: Math.min(
      maxBufferSize ?? DEFAULT_MAX_BUFFER_BYTES,
      maxStorageBufferBindingSize ?? DEFAULT_MAX_BINDING_BYTES,
    ),
    hasFloat16: adapter.features.includes('shader-f16'),
  };
}
