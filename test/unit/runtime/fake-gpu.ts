/**
 * A WebGPU device in JavaScript, for what the runtime does with buffers: creating, writing, copying, clearing, giving back.
 *
 * Buffers hold bytes; commands take effect when they are submitted. A device has memory for so many bytes: what is beyond them
 * is reported to the error scope for it, as WebGPU does, and leaves a buffer that nothing may be done with. What WebGPU's
 * validation forbids throws: offsets and sizes that are no multiples of 4, what lies outside of a buffer, buffers that were
 * given back or never were.
 */
import { MemoryLedger } from '../../../src/runtime/gpu/memory-ledger.ts';
import type { GpuContext } from '../../../src/runtime/gpu/device.ts';

/** What a test sees of a buffer besides its WebGPU side. */
export class FakeBuffer {
  readonly label: string;
  readonly size: number;
  readonly bytes: Uint8Array<ArrayBuffer>;
  isDestroyed = false;
  readonly isValid: boolean;
  readonly #onDestroy: () => void;

  constructor(descriptor: GPUBufferDescriptor, isValid: boolean, onDestroy: () => void) {
    this.label = descriptor.label ?? '';
    this.size = descriptor.size;
    this.isValid = isValid;
    this.bytes = new Uint8Array(isValid ? descriptor.size : 0);
    this.#onDestroy = onDestroy;
  }

  destroy(): undefined {
    if (!this.isDestroyed && this.isValid) this.#onDestroy();
    this.isDestroyed = true;
    return undefined;
  }
}

/** A device and what a test does to it. */
export interface FakeGpu {
  readonly gpu: GpuContext;
  readonly device: GPUDevice;
  readonly ledger: MemoryLedger;
  /** Every buffer that was ever asked for and not refused. */
  readonly made: readonly FakeBuffer[];
  /** Bytes that the device has for all buffers together; may be changed. */
  room: number;
  /** From this buffer on, counted from now, one is refused though there is room; then no other. */
  refuseIn: number;
  /** Bytes of buffers that were not given back. */
  readonly usedBytes: number;
  lose: (reason: string) => Promise<void>;
}

/** GPU buffers as a test sees them. */
export function fakeOf(buffer: GPUBuffer | undefined): FakeBuffer {
  if (!(buffer instanceof FakeBuffer)) throw new Error('there is no such buffer');
  return buffer;
}

/** WebGPU's constants, which Node has not. */
export function defineGpuConstants(): void {
  Object.assign(globalThis, {
    GPUBufferUsage: { MAP_READ: 1, COPY_SRC: 4, COPY_DST: 8, STORAGE: 128 },
    GPUMapMode: { READ: 1 },
    GPUOutOfMemoryError: class GPUOutOfMemoryError extends Error {},
  });
}

/** See the file's header. */
export function createFakeGpu(room = Infinity, limits: Partial<GPUSupportedLimits> = {}): FakeGpu {
  const made: FakeBuffer[] = [];
  const scopes: { filter: GPUErrorFilter; error: { message: string } | null }[] = [];
  let usedBytes = 0;
  let lostReason: string | null = null;
  let resolveLost: (info: GPUDeviceLostInfo) => void = () => undefined;
  const lost = new Promise<GPUDeviceLostInfo>((resolve) => (resolveLost = resolve));
  const report = (filter: GPUErrorFilter, message: string): void => {
    const scope = scopes.findLast((open) => open.filter === filter);
    if (!scope) throw new Error(`nobody waits for: ${message}`);
    scope.error ??= { message };
  };
  const check = (buffer: GPUBuffer, offset: number, size: number): FakeBuffer => {
    const fake = fakeOf(buffer);
    if (fake.isDestroyed || !fake.isValid) throw new Error(`${fake.label} was used after it was given back`);
    if (offset % 4 !== 0 || size % 4 !== 0) throw new Error(`${fake.label}: ${offset} + ${size} is not in words`);
    if (offset + size > fake.size) throw new Error(`${fake.label}: ${offset} + ${size} is beyond ${fake.size}`);
    return fake;
  };
  const device = {
    limits: { maxBufferSize: 2 ** 31, maxStorageBufferBindingSize: 2 ** 31, ...limits },
    lost,
    createBuffer(descriptor: GPUBufferDescriptor): FakeBuffer {
      const { size, label = '' } = descriptor;
      const isRefused = usedBytes + size > fake.room || fake.refuseIn-- <= 0;
      if (fake.refuseIn < 0) fake.refuseIn = Infinity;
      if (isRefused) report('out-of-memory', `no room for ${size} bytes of ${label}`);
      else usedBytes += size;
      const buffer = new FakeBuffer(descriptor, !isRefused, () => (usedBytes -= size));
      if (!isRefused) made.push(buffer);
      return buffer;
    },
    pushErrorScope: (filter: GPUErrorFilter) => void scopes.push({ filter, error: null }),
    popErrorScope: () => {
      const scope = scopes.pop();
      return lostReason === null ? Promise.resolve(scope?.error ?? null) : Promise.reject(new Error(lostReason));
    },
    createCommandEncoder: () => {
      const commands: (() => void)[] = [];
      return {
        copyBufferToBuffer(from: GPUBuffer, fromOffset: number, to: GPUBuffer, toOffset: number, size: number) {
          commands.push(() => {
            if (from === to) throw new Error('a buffer is not copied into itself');
            const source = check(from, fromOffset, size).bytes.subarray(fromOffset, fromOffset + size);
            check(to, toOffset, size).bytes.set(source, toOffset);
          });
        },
        clearBuffer(buffer: GPUBuffer) {
          commands.push(() => check(buffer, 0, 0).bytes.fill(0));
        },
        finish: () => commands,
      };
    },
    queue: {
      submit(batches: readonly (readonly (() => void)[])[]) {
        for (const command of batches.flat()) command();
      },
      writeBuffer(buffer: GPUBuffer, offset: number, data: Uint8Array) {
        check(buffer, offset, data.byteLength).bytes.set(data, offset);
      },
      onSubmittedWorkDone: () =>
        lostReason === null ? Promise.resolve(undefined) : Promise.reject(new Error(lostReason)),
    },
    destroy: () => undefined,
  };
  const fake = {
    room,
    refuseIn: Infinity,
    get usedBytes() {
      return usedBytes;
    },
  };
  const gpuDevice = device as unknown as GPUDevice;
  const ledger = new MemoryLedger(gpuDevice);
  const gpu = {
    device: gpuDevice,
    ledger,
    lostReason: () => lostReason,
    lostSoon: () => Promise.resolve(lostReason),
    takeError: () => null,
    lost: lost.then(({ message }) => message),
    destroy: () => gpuDevice.destroy(),
  } as unknown as GpuContext;
  return Object.assign(fake, {
    gpu,
    device: gpuDevice,
    ledger,
    made,
    async lose(reason: string) {
      lostReason = reason;
      resolveLost({ reason: 'unknown', message: reason } as GPUDeviceLostInfo);
      await Promise.resolve();
    },
  });
}
