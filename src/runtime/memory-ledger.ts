/**
 * An exact account of the GPU buffers on one device: ours by purpose, and the runtime's own.
 *
 * Wraps `createBuffer` of the device and `destroy` of what it returns, so that buffers which onnxruntime makes on our
 * device are counted too (WebGPU itself tells nothing about memory).
 */

/** What a buffer is for. `runtime` is whatever we did not create ourselves. */
export type BufferPurpose = 'weights' | 'kvCache' | 'staging' | 'runtime';

/** Live and peak bytes of one device. */
export interface LedgerTotals {
  readonly liveBytes: number;
  readonly peakBytes: number;
  readonly liveBuffers: number;
  readonly liveBytesByPurpose: Readonly<Record<BufferPurpose, number>>;
  /** Since {@link MemoryLedger.restartPeaks}, or ever. */
  readonly peakBytesByPurpose: Readonly<Record<BufferPurpose, number>>;
}

/** The account of one device, from the moment of its construction. */
export class MemoryLedger {
  readonly #device: GPUDevice;
  readonly #live: Record<BufferPurpose, number> = { weights: 0, kvCache: 0, staging: 0, runtime: 0 };
  #peaks: Record<BufferPurpose, number> = { ...this.#live };
  #purpose: BufferPurpose = 'runtime';
  #liveBytes = 0;
  #peakBytes = 0;
  #liveBuffers = 0;

  constructor(device: GPUDevice) {
    this.#device = device;
    const create = device.createBuffer.bind(device);
    device.createBuffer = (descriptor) => this.#enter(create(descriptor));
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

  /** Peaks by purpose count from now on; the peak of all together does not. */
  restartPeaks(): void {
    this.#peaks = { ...this.#live };
  }

  totals(): LedgerTotals {
    return {
      liveBytes: this.#liveBytes,
      peakBytes: this.#peakBytes,
      liveBuffers: this.#liveBuffers,
      liveBytesByPurpose: { ...this.#live },
      peakBytesByPurpose: { ...this.#peaks },
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

  #book(purpose: BufferPurpose, bytes: number, buffers: number): void {
    this.#live[purpose] += bytes;
    this.#peaks[purpose] = Math.max(this.#peaks[purpose], this.#live[purpose]);
    this.#liveBytes += bytes;
    this.#liveBuffers += buffers;
  }
}
