/**
 * Reads small numbers back from the GPU without waiting for it.
 *
 * In: command encoders. Out: promises of numbers. Guarantees: each read has a staging buffer of its own from a pool, so that
 * several can be under way; a read that nobody waits for any more gives its buffer back all the same.
 */
import { checkGpu } from './errors.ts';
import type { GpuContext } from './device.ts';
import { deviceLost } from '../ort/runtime-errors.ts';

/** Bytes of a staging buffer: one uint32. */
const SIZE_BYTES = 4;

/** A copy that was encoded; `read` once its encoder was submitted. */
export interface ReadSlot {
  /** @throws LoadError `device_lost`, `out_of_memory`, `runtime_failed` */
  read(): Promise<number>;
}

/** See the file's header. */
export class GpuReadback {
  readonly #gpu: GpuContext;
  readonly #free: GPUBuffer[] = [];
  readonly #all: GPUBuffer[] = [];

  constructor(gpu: GpuContext) {
    this.#gpu = gpu;
  }

  /** Encodes the copy of the first uint32 of `source`. */
  copy(encoder: GPUCommandEncoder, source: GPUBuffer): ReadSlot {
    const staging = this.#free.pop() ?? this.#create();
    encoder.copyBufferToBuffer(source, 0, staging, 0, SIZE_BYTES);
    return {
      read: () => {
        const result = this.#read(staging);
        result.catch(() => undefined); // whoever gave up on this read must not meet its failure
        return result;
      },
    };
  }

  release(): void {
    for (const buffer of this.#all) buffer.destroy();
  }

  async #read(staging: GPUBuffer): Promise<number> {
    try {
      await staging.mapAsync(GPUMapMode.READ);
    } catch (error) {
      checkGpu(this.#gpu, 'choosing tokens');
      // A valid buffer of ours: only the loss of its device keeps it from being mapped.
      throw deviceLost(this.#gpu.lostReason() ?? (error instanceof Error ? error.message : String(error)), error);
    }
    const [value = 0] = new Uint32Array(staging.getMappedRange());
    staging.unmap();
    this.#free.push(staging);
    checkGpu(this.#gpu, 'choosing tokens');
    return value;
  }

  #create(): GPUBuffer {
    const usage = GPUBufferUsage.MAP_READ | GPUBufferUsage.COPY_DST;
    const buffer = this.#gpu.ledger.createBuffer('staging', { label: 'id readback', size: SIZE_BYTES, usage });
    this.#all.push(buffer);
    return buffer;
  }
}
