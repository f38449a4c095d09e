/**
 * Faults of a GPU, injected into the model worker: prototypes are patched before a load, so that everything above them is
 * what ships. And an account of buffers and devices that is the tests' own, to hold against the one of the library.
 *
 * An allocation that fails does what WebGPU prescribes: the caller gets an invalid buffer, and a GPUOutOfMemoryError goes to
 * the innermost scope that asks for such errors, or, where there is none, to the device's `uncapturederror`.
 */
import type { Worker } from '@playwright/test';

/** One fault; it strikes once, unless it says otherwise. */
export interface Fault {
  /**
   * `told`: nothing fails, but the page hears of it, on the BroadcastChannel `gpu fault`. `zeroed`: what is written is zeros.
   */
  readonly kind: 'out-of-memory' | 'lost' | 'told' | 'zeroed';
  /** At the creation of a buffer, or at a write into one. */
  readonly at: 'createBuffer' | 'writeBuffer';
  /**
   * `kvCache` by their labels, `growth` what is asked for before the cache grows, `weights` all else of ours; `runtime`: without
   * a label, which is what onnxruntime makes; `position`: at which place in the cache the recorded decode step is to run.
   */
  readonly purpose: 'weights' | 'kvCache' | 'growth' | 'runtime' | 'position';
  /** Of those, counted from 0 since the fault was set. */
  readonly index: number;
  /** Strikes at every one from there on, until another fault is set. */
  readonly stays?: boolean;
}

/** What the tests' own account says. */
export interface GpuAccount {
  readonly liveBuffers: number;
  readonly liveBytes: number;
  readonly devices: number;
  /** Neither destroyed nor lost. */
  readonly liveDevices: number;
}

interface Meddled {
  meddling?: {
    fault: Fault | null;
    seen: number;
    /** Whether the fault that was set has struck. */
    struck: string | null;
    readonly buffers: Map<GPUBuffer, { readonly device: GPUDevice; readonly size: number }>;
    readonly devices: Set<GPUDevice>;
    readonly goneDevices: Set<GPUDevice>;
  };
}

/** Patches the worker; nothing fails until {@link setFault}. */
export async function meddle(worker: Worker): Promise<void> {
  await worker.evaluate(() => {
    const state: NonNullable<Meddled['meddling']> = {
      fault: null,
      seen: 0,
      struck: null,
      buffers: new Map(),
      devices: new Set(),
      goneDevices: new Set(),
    };
    (self as Meddled).meddling = state;
    const scopes = new WeakMap<GPUDevice, { filter: GPUErrorFilter; injected: boolean }[]>();
    const devicesOfQueues = new WeakMap<GPUQueue, GPUDevice>();
    const patch = <T extends object, K extends keyof T>(of: T, name: K, make: (original: T[K]) => T[K]): void => {
      of[name] = make(of[name]);
    };

    const PURPOSES = [
      [/^$/u, 'runtime'],
      [/^past_key_values/u, 'kvCache'],
      [/^room to grow$/u, 'growth'],
      [/^seqlens_k$/u, 'position'],
    ] as const;
    const strike = (at: Fault['at'], label: string | undefined): Fault['kind'] | null => {
      const { fault } = state;
      if (fault === null || fault.at !== at) return null;
      const name = label ?? '';
      const [, purpose = 'weights'] = PURPOSES.find(([pattern]) => pattern.test(name)) ?? [];
      if (purpose !== fault.purpose || state.seen++ < fault.index) return null;
      state.struck = name === '' ? 'runtime' : name;
      if (fault.stays !== true) state.fault = null;
      return fault.kind;
    };

    patch(GPUAdapter.prototype, 'requestDevice', (original) => {
      return async function (this: GPUAdapter, descriptor) {
        const device = await original.call(this, descriptor);
        devicesOfQueues.set(device.queue, device);
        state.devices.add(device);
        void device.lost.then(() => {
          state.goneDevices.add(device);
          for (const [buffer, entry] of state.buffers) if (entry.device === device) state.buffers.delete(buffer);
        });
        return device;
      };
    });
    patch(GPUDevice.prototype, 'createBuffer', (original) => {
      return function (this: GPUDevice, descriptor) {
        const kind = strike('createBuffer', descriptor.label);
        if (kind === 'lost') this.destroy();
        if (kind === 'told') new BroadcastChannel('gpu fault').postMessage(null);
        if (kind !== 'out-of-memory') {
          const buffer = original.call(this, descriptor);
          state.buffers.set(buffer, { device: this, size: buffer.size });
          return buffer;
        }
        const scope = scopes.get(this)?.findLast(({ filter }) => filter === 'out-of-memory');
        if (scope) scope.injected = true;
        else {
          const error = new GPUOutOfMemoryError('injected');
          queueMicrotask(() => this.dispatchEvent(new GPUUncapturedErrorEvent('uncapturederror', { error })));
        }
        // An invalid buffer, whose own complaint nobody hears.
        this.pushErrorScope('validation');
        const invalid = original.call(this, { ...descriptor, usage: 0 });
        void this.popErrorScope();
        return invalid;
      };
    });
    patch(GPUDevice.prototype, 'pushErrorScope', (original) => {
      return function (this: GPUDevice, filter) {
        scopes.set(this, [...(scopes.get(this) ?? []), { filter, injected: false }]);
        original.call(this, filter);
        return undefined;
      };
    });
    patch(GPUDevice.prototype, 'popErrorScope', (original) => {
      return async function (this: GPUDevice) {
        const scope = scopes.get(this)?.pop();
        const error = await original.call(this);
        return scope?.injected === true ? new GPUOutOfMemoryError('injected') : error;
      };
    });
    patch(GPUQueue.prototype, 'writeBuffer', (original) => {
      return function (this: GPUQueue, buffer, ...rest: unknown[]) {
        const [offset, data, ...range] = rest as [number, GPUAllowSharedBufferSource, ...number[]];
        const kind = strike('writeBuffer', buffer.label);
        if (kind === 'lost') devicesOfQueues.get(this)?.destroy();
        original.call(this, buffer, offset, kind === 'zeroed' ? new ArrayBuffer(data.byteLength) : data, ...range);
        return undefined;
      };
    });
    patch(GPUBuffer.prototype, 'destroy', (original) => {
      return function (this: GPUBuffer) {
        state.buffers.delete(this);
        original.call(this);
        return undefined;
      };
    });
    Object.defineProperty(self, 'setFault', {
      value: (fault: Fault | null) => {
        state.seen = 0;
        state.struck = null;
        state.fault = fault;
      },
    });
  });
}

/** Lets the next load fail, or (null) no load any more. */
export async function setFault(worker: Worker, fault: Fault | null): Promise<void> {
  await worker.evaluate((it) => (self as unknown as { setFault(fault: Fault | null): void }).setFault(it), fault);
}

/** What the fault struck: the label of a buffer; null where it has not struck. */
export function struckBy(worker: Worker): Promise<string | null> {
  return worker.evaluate(() => (self as Meddled).meddling?.struck ?? null);
}

/** See {@link GpuAccount}. */
export function readAccount(worker: Worker): Promise<GpuAccount> {
  return worker.evaluate(async () => {
    const { meddling } = self as Meddled;
    if (!meddling) throw new Error('meddle() first');
    await new Promise((resolve) => setTimeout(resolve, 50)); // a loss is told by a message
    const buffers = [...meddling.buffers.values()];
    return {
      liveBuffers: buffers.length,
      liveBytes: buffers.reduce((sum, { size }) => sum + size, 0),
      devices: meddling.devices.size,
      liveDevices: meddling.devices.size - meddling.goneDevices.size,
    };
  });
}
