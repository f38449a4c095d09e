/**
 * The GPU: a device of our own that asks for all that the adapter offers.
 *
 * Out: {@link GpuContext} for one model. Guarantees: one device a model, so that disposing the model gives every byte back and a
 * lost device takes nothing else with it.
 */
import { yieldToEvents } from '../../base/abort.ts';
import { LoadError } from '../../contract/errors.ts';
import type { AdapterInfo } from '../../contract/load.ts';
import type { LoadPlan } from '../../contract/plan.ts';
import { explainAbsence, requestAdapter, toAdapterInfo } from './adapter.ts';
import { MemoryLedger } from './memory-ledger.ts';
import { SessionMaker } from '../ort/sessions.ts';

/** A device with its account and its fate. */
export interface GpuContext {
  readonly device: GPUDevice;
  readonly adapter: AdapterInfo;
  readonly ledger: MemoryLedger;
  /** All sessions on the device. */
  readonly sessions: SessionMaker;
  /** Resolves with the reason once the device is gone, by whatever cause but our own `destroy`. */
  readonly lost: Promise<string>;
  /** What {@link lost} resolved with; null until then. */
  readonly lostReason: () => string | null;
  /** {@link lostReason}, after the messages that are on their way: errors of a lost device may come before its loss does. */
  lostSoon(): Promise<string | null>;
  /** The first error that no error scope caught since the last call; one of memory goes before others. */
  takeError(): GPUError | null;
  destroy(): void;
}

/**
 * A device with every limit and feature that the adapter has; with the buffer limits of a smaller one, where those are
 * simulated (WebGPU grants no less than its defaults, 256 MiB a buffer and 128 MiB a binding, whatever is asked).
 * @throws LoadError `no_adapter`, `device_lost`
 */
export async function openGpu(limits: LoadPlan['limits'] = null): Promise<GpuContext> {
  // An adapter gives one device only, so each context asks for a fresh one.
  const adapter = await requestAdapter();
  if (adapter === null) {
    const message = `${explainAbsence(globalThis)} Choose device "wasm" or "auto" to run without.`;
    throw new LoadError('no_adapter', { message });
  }
  const info = toAdapterInfo(adapter);
  let device: GPUDevice;
  try {
    device = await adapter.requestDevice({
      label: 'firstlight',
      requiredFeatures: listUsableFeatures(adapter),
      requiredLimits: { ...info.limits, ...(limits?.simulated ? toBufferLimits(limits.maxBufferBytes) : {}) },
    });
  } catch (error) {
    throw new LoadError('device_lost', {
      message: 'The adapter refused to give a device; other pages may be holding the GPU.',
      retryable: true,
      cause: error,
    });
  }
  return watchDevice(device, info);
}

function watchDevice(device: GPUDevice, adapter: AdapterInfo): GpuContext {
  const ledger = new MemoryLedger(device);
  let destroyed = false;
  let lostReason: string | null = null;
  const lost = new Promise<string>((resolve) => {
    void device.lost.then(({ reason, message }) => {
      if (destroyed) return;
      lostReason = message || reason;
      resolve(lostReason);
    });
  });
  let uncaught: GPUError | null = null;
  device.addEventListener('uncapturederror', ({ error }) => {
    // What follows a failed allocation are complaints about the buffer that it left invalid.
    if (uncaught === null || (isMemoryError(error) && !isMemoryError(uncaught))) uncaught = error;
  });
  return {
    device,
    adapter,
    ledger,
    sessions: new SessionMaker(lost),
    lost,
    lostReason: () => lostReason,
    async lostSoon() {
      await yieldToEvents();
      return lostReason;
    },
    takeError() {
      const error = uncaught;
      uncaught = null;
      return error;
    },
    destroy() {
      destroyed = true;
      device.destroy();
    },
  };
}

function isMemoryError(error: GPUError): boolean {
  return error instanceof GPUOutOfMemoryError;
}

/**
 * onnxruntime's attention kernel for prompts of 32 tokens and more takes subgroups of 8 lanes for granted and computes wrong
 * values on narrower ones (flash_attention.wgsl.template, 1.31.0-dev.20260914; SwiftShader has 4 lanes). A device without the
 * feature gets kernels that need none.
 */
const MIN_SUBGROUP_LANES = 8;

/** All features of the adapter but those that its kernels would trip over. */
function listUsableFeatures(adapter: GPUAdapter): GPUFeatureName[] {
  const { subgroupMinSize } = adapter.info as { readonly subgroupMinSize?: number };
  const tooNarrow = subgroupMinSize !== undefined && subgroupMinSize < MIN_SUBGROUP_LANES;
  const features = [...adapter.features] as GPUFeatureName[];
  return tooNarrow ? features.filter((feature) => !feature.startsWith('subgroup')) : features;
}

function toBufferLimits(maxBufferBytes: number): Record<string, number> {
  return { maxBufferSize: maxBufferBytes, maxStorageBufferBindingSize: maxBufferBytes };
}
