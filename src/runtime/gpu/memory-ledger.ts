/**
 * An exact account of the GPU buffers on one device: ours by purpose, and the runtime's own.
 *
 * Wraps `createBuffer` of the device and `destroy` of what it returns, so that buffers which onnxruntime makes on our
 * device are counted too (WebGPU itself tells nothing about memory). A device that is destroyed or lost takes all its
 * buffers with it: the account is then closed, at zero.
 */

import type { BufferPurpose, GpuMemory } from '../../contract/memory.ts';

/** The account of one device, from the moment of its construction. */
export class MemoryLedger {
  readonly #device: GPUDevice;
  readonly #live: Record<BufferPurpose, number> = { weights: 0, kvCache: 0, staging: 0, runtime: 0 };
  #peaks: Record<BufferPurpose, number> = { ...this.#live };
  #purpose: BufferPurpose = 'runtime';
  #liveBytes = 0;
  #peakBytes = 0;
  #liveBuffers = 0;
  #closed = false;

  constructor(device: GPUDevice) {
    this.#device = device;
    const create = device.createBuffer.bind(device);
    device.createBuffer = (descriptor) => this.#enter(create(descriptor));
    const destroy = device.destroy.bind(device);
    device.destroy = () => {
      this.#close();
      destroy();
      return undefined;
    };
    void device.lost.then(() => this.#close());
  }

  /** A buffer of ours, booked under `purpose`. */
  createBuffer(purpose: Exclude<BufferPurpose, 'runtime'>, descriptor: GPUBufferDescriptor): GPUBuffer {
    this.#purpose = purpose;
    try {
      return this.#device.createBuffer(descriptor);
    } finally {
      this.#purpose = 'runtime';
    }
  }

  /** The most that buffers of this purpose took since {@link restartPeaks}, or ever; bytes. */
  peakBytesOf(purpose: BufferPurpose): number {
    return this.#peaks[purpose];
  }

  /** Peaks by purpose count from now on; the peak of all together does not. */
  restartPeaks(): void {
    this.#peaks = { ...this.#live };
  }

  totals(): GpuMemory {
    return {
      liveBytes: this.#liveBytes,
      peakBytes: this.#peakBytes,
      liveBuffers: this.#liveBuffers,
      liveBytesByPurpose: { ...this.#live },
    };
  }

  #enter(buffer: GPUBuffer): GPUBuffer {
    const purpose = this.#purpose;
    const { size } = buffer;
    this.#book(purpose, size, 1);
    this.#peakBytes = Math.max(this.#peakBytes, this.#liveBytes);
    const destroy = buffer.destroy.bind(buffer);
    let destroyed = false;
    buffer.destroy = () => {
      if (!destroyed) this.#book(purpose, -size, -1);
      destroyed = true;
      destroy();
      return undefined;
    };
    return buffer;
  }

  #close(): void {
    this.#closed = true;
    this.#liveBytes = this.#liveBuffers = 0;
    for (const purpose of Object.keys(this.#live) as BufferPurpose[]) this.#live[purpose] = 0;
  }

  #book(purpose: BufferPurpose, bytes: number, buffers: number): void {
    if (this.#closed) return;
    this.#live[purpose] += bytes;
    this.#peaks[purpose] = Math.max(this.#peaks[purpose], this.#live[purpose]);
    this.#liveBytes += bytes;
    this.#liveBuffers += buffers;
  }
}
