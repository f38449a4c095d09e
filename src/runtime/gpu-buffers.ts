/**
 * Reserves every GPU buffer of a plan before a weight byte is fetched, and fills the weights in pieces.
 *
 * In: a plan and a device. Out: {@link GpuBuffers}. Guarantees: all buffers exist or none does; what does not fit fails
 * here, in the first second, with the numbers; bytes in flight to the GPU are bounded.
 */
import { LoadError } from '../contract/errors.ts';
import type { LoadPlan } from '../contract/plan.ts';
import { listCacheNames } from './decoder.ts';
import type { GpuContext } from './gpu.ts';
import type { MemoryLedger } from './memory-ledger.ts';
import { deviceLost } from './runtime-errors.ts';

/** `writeBuffer` copies into the GPU process; beyond this many bytes we wait until the GPU has taken them. */
const MAX_STAGED_BYTES = 32 * 2 ** 20;

/** onnxruntime wants sizes in multiples of 16 bytes. */
const SIZE_ALIGNMENT_BYTES = 16;

/** The buffers of one model. */
export interface GpuBuffers {
  readonly weights: ReadonlyMap<string, GPUBuffer>;
  /** By the name of the past input, e.g. `past_key_values.0.key`. */
  readonly kvCaches: ReadonlyMap<string, GPUBuffer>;
  /** One set a parked conversation, named as {@link kvCaches}: as many of those that the plan wants as the device has room for. */
  readonly parkedCaches: readonly ReadonlyMap<string, GPUBuffer>[];
  /** Room for one layer's keys while conversations are exchanged; null where none are parked. */
  readonly spareCache: GPUBuffer | null;
  /** Writes into a weight buffer; offset and length in multiples of 4 bytes. */
  write(bufferName: string, offsetBytes: number, bytes: Uint8Array<ArrayBuffer>): Promise<void>;
  /** Resolves when everything written so far has reached the GPU. */
  flush(): Promise<void>;
  readonly writtenBytes: () => number;
  destroy(): void;
}

/** @throws LoadError `does_not_fit`, `out_of_memory`, `device_lost` */
export async function reserveGpuBuffers(plan: LoadPlan, gpu: GpuContext): Promise<GpuBuffers> {
  const { device, ledger } = gpu;
  checkLimits(plan, device.limits);
  const usage = GPUBufferUsage.STORAGE | GPUBufferUsage.COPY_DST | GPUBufferUsage.COPY_SRC;
  const weights = new Map<string, GPUBuffer>();
  const kvCaches = new Map<string, GPUBuffer>();
  const allowance: GPUBuffer[] = [];
  const parkedCaches: ReadonlyMap<string, GPUBuffer>[] = [];
  let spareCache: GPUBuffer | null = null;
  const destroy = (): void => {
    const parked = parkedCaches.flatMap((caches) => [...caches.values()]);
    for (const buffer of [...weights.values(), ...kvCaches.values(), ...parked]) buffer.destroy();
    spareCache?.destroy();
  };

  const refusal = await catchRefusal(device, () => {
    for (const { name, sizeBytes } of plan.weights.flatMap((weight) => weight.buffers)) {
      weights.set(name, ledger.createBuffer('weights', { label: name, size: alignSize(sizeBytes), usage }));
    }
    createCaches(plan, ledger, usage, kvCaches);
    // Room for activations, which the runtime allocates itself: held until all that stays has its place, then given back.
    const pieceBytes = alignSize(Math.min(plan.costs.activationBytes, largestBinding(plan, device.limits)));
    for (let sum = 0; sum < plan.costs.activationBytes; sum += pieceBytes) {
      allowance.push(ledger.createBuffer('staging', { label: 'activation allowance', size: pieceBytes, usage }));
    }
  });
  if (refusal !== null) {
    for (const buffer of allowance) buffer.destroy();
    destroy();
    const lost = await gpu.lostSoon();
    throw lost === null ? outOfMemory(plan, refusal) : deviceLost(lost, refusal);
  }
  // Parked conversations are worth having, but no model has to do with less for them.
  while (parkedCaches.length < plan.conversations - 1) {
    const caches = new Map<string, GPUBuffer>();
    let spare: GPUBuffer | null = null;
    const noRoom = await catchRefusal(device, () => {
      createCaches(plan, ledger, usage, caches);
      // Now, because a swap that finds no room would leave the wrong conversation in the cache.
      if (spareCache === null) {
        const size = alignSize(kvCacheSizeBytes(plan));
        spare = ledger.createBuffer('staging', { label: 'swap of conversations', size, usage });
      }
    });
    if (noRoom !== null) {
      for (const buffer of [...caches.values(), spare]) buffer?.destroy();
      break;
    }
    spareCache ??= spare;
    parkedCaches.push(caches);
  }
  for (const buffer of allowance) buffer.destroy();

  let stagedBytes = 0;
  let writtenBytes = 0;
  const flush = async (): Promise<void> => {
    stagedBytes = 0;
    await device.queue.onSubmittedWorkDone();
  };
  return {
    weights,
    kvCaches,
    parkedCaches,
    spareCache,
    async write(bufferName, offsetBytes, bytes) {
      const buffer = weights.get(bufferName);
      if (!buffer) throw new LoadError('internal', { message: `no GPU buffer is named ${bufferName}` });
      device.queue.writeBuffer(buffer, offsetBytes, bytes);
      writtenBytes += bytes.byteLength;
      stagedBytes += bytes.byteLength;
      if (stagedBytes >= MAX_STAGED_BYTES) await flush();
      const lost = gpu.lostReason(); // other errors are for whoever runs the model to find, and to name
      if (lost !== null) throw deviceLost(lost);
    },
    flush,
    writtenBytes: () => writtenBytes,
    destroy,
  };
}

/** Creates buffers; yields why one of them could not be, null where all are there. */
async function catchRefusal(device: GPUDevice, create: () => void): Promise<Error | null> {
  device.pushErrorScope('validation');
  device.pushErrorScope('out-of-memory');
  let thrown: Error | null = null;
  try {
    create();
  } catch (error) {
    // createBuffer itself throws where the implementation refuses the size outright (RangeError).
    thrown = error instanceof Error ? error : new Error(String(error));
  }
  const [memory, validation] = await Promise.allSettled([device.popErrorScope(), device.popErrorScope()]);
  if (thrown !== null) return thrown;
  for (const scope of [memory, validation]) {
    if (scope.status === 'rejected') return new Error(String(scope.reason)); // the device is lost
    if (scope.value !== null) return new Error(scope.value.message);
  }
  return null;
}

function createCaches(
  plan: LoadPlan,
  ledger: MemoryLedger,
  usage: GPUBufferUsageFlags,
  caches: Map<string, GPUBuffer>,
): void {
  const size = alignSize(kvCacheSizeBytes(plan));
  for (const { past } of listCacheNames(plan.shape)) {
    caches.set(past, ledger.createBuffer('kvCache', { label: past, size, usage }));
  }
}

/** Bytes of one layer's key (or value) cache: [1, kvHeads, contextTokens, headDim]. */
function kvCacheSizeBytes({ shape, contextTokens, kvType }: LoadPlan): number {
  return shape.kvHeadCount * contextTokens * shape.headDim * (kvType === 'float16' ? 2 : 4);
}

function largestBinding(plan: LoadPlan, limits: GPUSupportedLimits): number {
  const planned = plan.limits?.maxBufferBytes ?? Infinity;
  return Math.min(limits.maxBufferSize, limits.maxStorageBufferBindingSize, planned);
}

function checkLimits(plan: LoadPlan, limits: GPUSupportedLimits): void {
  const largestAllowed = largestBinding(plan, limits);
  const sizes = plan.weights.flatMap((weight) => weight.buffers.map(({ name, sizeBytes }) => ({ name, sizeBytes })));
  sizes.push({ name: 'the KV cache of one layer', sizeBytes: kvCacheSizeBytes(plan) });
  const tooLarge = sizes.filter(({ sizeBytes }) => alignSize(sizeBytes) > largestAllowed);
  if (tooLarge.length === 0) return;
  const worst = tooLarge.reduce((a, b) => (a.sizeBytes > b.sizeBytes ? a : b));
  throw new LoadError('does_not_fit', {
    message:
      `${worst.name} needs ${worst.sizeBytes} bytes in one buffer, and this GPU binds at most ${largestAllowed}. ` +
      'Choose a smaller dtype, a shorter context, or device "wasm".',
    detail: { largestAllowedBytes: largestAllowed, tooLarge },
  });
}

function outOfMemory(plan: LoadPlan, cause: unknown): LoadError {
  const { weightBytes, kvCacheBytes, deviceBytes } = plan.costs;
  const smaller = Object.entries(plan.dtypes)
    .filter(([, fit]) => fit.obstacle === null && fit.deviceBytes < deviceBytes)
    .map(([dtype, fit]) => ({ dtype, deviceBytes: fit.deviceBytes }));
  const choices = smaller.map((choice) => `${choice.dtype} (${choice.deviceBytes} bytes)`).join(', ');
  return new LoadError('out_of_memory', {
    message:
      `The GPU gave no room for ${weightBytes} bytes of weights and ${kvCacheBytes} of KV cache. ` +
      `Choose a shorter context${choices && `, a smaller dtype: ${choices},`} or device "wasm".`,
    detail: { weightBytes, kvCacheBytes, deviceBytes, smaller },
    cause,
  });
}

function alignSize(sizeBytes: number): number {
  return Math.max(SIZE_ALIGNMENT_BYTES, Math.ceil(sizeBytes / SIZE_ALIGNMENT_BYTES) * SIZE_ALIGNMENT_BYTES);
}
