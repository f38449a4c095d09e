/**
 * Converted weights on their way into the WASM heap, where no file can be read again.
 *
 * onnxruntime asks for initializers synchronously, and in its own order, so what came from the network has to be in memory by
 * then. It lies here as the runtime takes it (8 or 4 bits, where it is quantised), never as it came: the checkpoint itself streams
 * through. Each buffer is let go as soon as the runtime has its copy, so that as the heap grows this shrinks: the weights are in
 * memory once, and one buffer more. In: bytes at their offsets. Out: each buffer, as often as the graph declares a tensor over it.
 */
import { listGraphTensors } from '../../base/weight-tensors.ts';
import { LoadError } from '../../contract/errors.ts';
import type { LoadPlan } from '../../contract/plan.ts';

/** See the file's header. */
export class WeightMemory {
  readonly #sizes: ReadonlyMap<string, number>;
  readonly #buffers = new Map<string, Uint8Array<ArrayBuffer>>();
  /** How often the runtime still asks for each. */
  readonly #asksLeft = new Map<string, number>();
  #spent: Uint8Array<ArrayBuffer> | null = null;
  #writtenBytes = 0;

  constructor(plan: Pick<LoadPlan, 'weights'>) {
    this.#sizes = new Map(
      plan.weights.flatMap(({ buffers }) => buffers.map(({ name, sizeBytes }) => [name, sizeBytes])),
    );
    for (const { buffer } of listGraphTensors(plan.weights))
      this.#asksLeft.set(buffer, (this.#asksLeft.get(buffer) ?? 0) + 1);
  }

  get writtenBytes(): number {
    return this.#writtenBytes;
  }

  /** Takes the memory for a buffer when its first byte comes. @throws LoadError `out_of_memory` */
  write(name: string, offsetBytes: number, bytes: Uint8Array): void {
    const sizeBytes = this.#sizes.get(name) ?? 0;
    const buffer = this.#buffers.get(name) ?? allocate(name, sizeBytes);
    this.#buffers.set(name, buffer);
    // A buffer is written in whole words, the last of which may be longer than what it holds.
    buffer.set(bytes.subarray(0, sizeBytes - offsetBytes), offsetBytes);
    this.#writtenBytes += bytes.byteLength;
  }

  /** A whole buffer; good until the next one is taken. */
  take(name: string): Uint8Array<ArrayBuffer> {
    this.#letGo();
    const buffer = this.#buffers.get(name);
    if (!buffer)
      throw new LoadError('internal', { message: `The weight buffer ${name} was asked for once too often.` });
    const asksLeft = (this.#asksLeft.get(name) ?? 1) - 1;
    this.#asksLeft.set(name, asksLeft);
    if (asksLeft <= 0) {
      this.#buffers.delete(name);
      this.#spent = buffer;
    }
    return buffer;
  }

  clear(): void {
    this.#letGo();
    this.#buffers.clear();
  }

  /** At once, where the browser can: left to the garbage collector, all of it may lie beside the heap for a while. */
  #letGo(): void {
    const buffer = this.#spent?.buffer as TransferableBuffer | undefined;
    this.#spent = null;
    buffer?.transfer?.(0);
  }
}

/** ECMAScript 2024; Chromium 114, Firefox 122, Safari 17.4. */
interface TransferableBuffer {
  transfer?(byteLength: number): ArrayBuffer;
}

function allocate(name: string, sizeBytes: number): Uint8Array<ArrayBuffer> {
  try {
    return new Uint8Array(sizeBytes);
  } catch (error) {
    throw new LoadError('out_of_memory', {
      message: `There is no room for ${name} (${sizeBytes} bytes) on its way into WebAssembly.`,
      stage: 'fill',
      detail: { buffer: name, sizeBytes },
      cause: error,
    });
  }
}
