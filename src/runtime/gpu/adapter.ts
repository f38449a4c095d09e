/**
 * The GPU adapter: what the browser offers, in data, or why it offers none.
 *
 * Out: {@link AdapterAnswer} for plans and people; the adapter itself for {@link openGpu}. Guarantees: an adapter that computes
 * on the CPU is told from a GPU wherever the browser says so, in whatever field it says it.
 */
import type { AdapterInfo } from '../../contract/load.ts';

/** An adapter, or a sentence that says why there is none. */
export type AdapterAnswer =
  { readonly adapter: AdapterInfo; readonly absence: null } | { readonly adapter: null; readonly absence: string };

/** What the adapter is, or why there is none. */
export async function describeAdapter(): Promise<AdapterAnswer> {
  const adapter = await requestAdapter();
  return adapter === null
    ? { adapter: null, absence: explainAbsence(globalThis) }
    : { adapter: toAdapterInfo(adapter), absence: null };
}

/** Null where there is none, for whatever reason. */
export async function requestAdapter(): Promise<GPUAdapter | null> {
  // Absent in browsers without WebGPU and outside secure contexts, whatever the types say.
  const gpu = (navigator as { gpu?: GPU }).gpu;
  try {
    return (await gpu?.requestAdapter({ powerPreference: 'high-performance' })) ?? null;
  } catch {
    return null; // a blocked or crashed GPU process: the same to us as no adapter
  }
}

/** An adapter as plain data. */
export function toAdapterInfo(adapter: GPUAdapter): AdapterInfo {
  const limits: Record<string, number> = {};
  // The limits are getters of the prototype, so Object.keys would see none of them.
  for (const name in adapter.limits) {
    const value = (adapter.limits as unknown as Record<string, unknown>)[name];
    if (typeof value === 'number') limits[name] = value;
  }
  const { vendor, architecture, device, description } = adapter.info;
  return {
    vendor,
    architecture,
    device,
    description,
    isFallbackAdapter: isSoftwareAdapter(adapter),
    features: [...adapter.features].sort(),
    limits,
  };
}

/** What {@link explainAbsence} goes by: a global scope, of a page or a worker. */
interface Scope {
  readonly isSecureContext: boolean;
  readonly navigator: { readonly gpu?: unknown };
}

/**
 * Why a scope got no adapter. An adapter that is null has many causes (no GPU, a driver on the browser's list of bad ones, hardware
 * acceleration switched off), and the browser does not say which (https://www.w3.org/TR/webgpu/#dom-gpu-requestadapter).
 */
export function explainAbsence({ isSecureContext, navigator }: Scope): string {
  if (!isSecureContext)
    return 'Browsers offer WebGPU only to pages over https or from localhost, which this one is not.';
  if (!navigator.gpu) return 'This browser has no WebGPU, or none for workers, where models run.';
  return 'This browser has WebGPU but gives no adapter: there is no GPU, its driver is blocked, or hardware acceleration is off.';
}

/** The parts of an adapter that may give it away. */
type AdapterFacts = Pick<AdapterInfo, 'vendor' | 'architecture' | 'device' | 'description'>;

/**
 * Names of what computes shaders on the CPU: SwiftShader (Chromium), llvmpipe, lavapipe and softpipe (Mesa), WARP, which calls
 * itself "Microsoft Basic Render Driver" (Windows).
 */
const SOFTWARE_NAMES = /swiftshader|llvmpipe|lavapipe|softpipe|basic render|software|\bwarp\b/iu;

/**
 * Whether an adapter computes on the CPU. Chromium 156 says it twice for SwiftShader (vendor "google", architecture "swiftshader",
 * isFallbackAdapter); Firefox 153 names nothing and says isFallbackAdapter for lavapipe. Before Chromium 136 the flag was a
 * property of the adapter itself (https://github.com/gpuweb/gpuweb/pull/4536).
 */
export function isSoftwareAdapter(adapter: {
  readonly info: AdapterFacts & { readonly isFallbackAdapter?: boolean };
  readonly isFallbackAdapter?: boolean;
}): boolean {
  const { vendor, architecture, device, description, isFallbackAdapter } = adapter.info;
  if (isFallbackAdapter === true || adapter.isFallbackAdapter === true) return true;
  return [vendor, architecture, device, description].some((name) => SOFTWARE_NAMES.test(name));
}
