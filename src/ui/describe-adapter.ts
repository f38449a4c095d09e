/**
 * A GPU in words for people.
 *
 * In: what WebGPU says about an adapter. Out: a name, and the limits that decide what fits, in human units.
 * Guarantees: browsers that hide a field (an empty string) leave no gap.
 */
import type { AdapterInfo } from '../contract/load.ts';
import { formatBinaryBytes, formatInteger } from './format.ts';

/** A limit worth showing. */
export interface ShownLimit {
  readonly name: string;
  readonly value: string;
}

const SHOWN_LIMITS: readonly { readonly limit: string; readonly name: string; readonly bytes: boolean }[] = [
  { limit: 'maxBufferSize', name: 'Largest buffer', bytes: true },
  { limit: 'maxStorageBufferBindingSize', name: 'Largest binding', bytes: true },
  { limit: 'maxStorageBuffersPerShaderStage', name: 'Storage buffers a shader', bytes: false },
  { limit: 'maxComputeWorkgroupStorageSize', name: 'Workgroup memory', bytes: true },
  { limit: 'maxComputeInvocationsPerWorkgroup', name: 'Threads a workgroup', bytes: false },
];

/** The adapter's name: its description, or what is known instead. */
export function describeAdapter(adapter: AdapterInfo): string {
  const parts = [adapter.vendor, adapter.architecture, adapter.device].filter((part) => part !== '');
  const name = adapter.description === '' ? parts.join(' ') : adapter.description;
  const shown = name === '' ? 'GPU without a name' : name;
  return adapter.isFallbackAdapter ? `${shown} (software)` : shown;
}

/** The limits that decide what fits. */
export function listLimits(adapter: AdapterInfo): readonly ShownLimit[] {
  return SHOWN_LIMITS.flatMap(({ limit, name, bytes }) => {
    const value = adapter.limits[limit];
    return value === undefined ? [] : [{ name, value: bytes ? formatBinaryBytes(value) : formatInteger(value) }];
  });
}
