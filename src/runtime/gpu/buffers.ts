/**
 * Reserves every GPU buffer of a plan before a weight byte is fetched, and fills the weights in pieces.
 *
 * In: a plan and a device. Out: {@link GpuBuffers}. Guarantees: all buffers exist or none does; what does not fit fails
 * here, in the first second, with the numbers; bytes in flight to the GPU are bounded.
 */
import { countCacheBytes } from '../../base/cache-layout.ts';
import { LoadError } from '../../contract/errors.ts';
import type { LoadPlan } from '../../contract/plan.ts';
import { alignSize, bufferUsage, catchRefusal } from './allocation.ts';
import { createCaches, createSpare, destroyCaches, destroyStore } from './kv-caches.ts';
import type { KvCaches, KvStore } from './kv-caches.ts';
import type { GpuContext } from './device.ts';
import { deviceLost } from '../ort/runtime-errors.ts';

/**
 * `writeBuffer` copies into the GPU process. After each so many bytes we wait until the GPU has taken those before them: twice
 * as many are under way at most, and the GPU never waits for us.
 */
const STAGED_BYTES = 8 * 2 ** 20;

/** The buffers of one model. */
export interface GpuBuffers {
  /** What they are as long as: the plan of the load, until the KV cache grows. */
  readonly plan: LoadPlan;
  readonly weights: ReadonlyMap<string, GPUBuffer>;
  /** A slot for each parked conversation: as many of those that the plan wants as the device has room for. */
  readonly kv: KvStore;
  /** Takes the tables of a longer plan, whose caches are there, in place of its own. */
  adopt(longer: LoadPlan, tables: ReadonlyMap<string, GPUBuffer>): void;
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
  const usage = bufferUsage();
  const weights = new Map<string, GPUBuffer>();
  const kv: KvStore = { live: new Map(), slots: [], snapshots: [], spare: null };
  const allowance: GPUBuffer[] = [];
  const destroy = (): void => {
    for (const buffer of weights.values()) buffer.destroy();
    destroyStore(kv);
  };

  const refusal = await catchRefusal(device, () => {
    for (const { name, sizeBytes } of plan.weights.flatMap((weight) => weight.buffers)) {
      weights.set(name, ledger.createBuffer('weights', { label: name, size: alignSize(sizeBytes), usage }));
    }
    createCaches(plan, ledger, kv.live);
    for (let slot = 0; slot < plan.stateSnapshots; slot++) {
      const states: KvCaches = new Map();
      kv.snapshots.push(states);
      const caches = plan.caches.filter(({ canRewind }) => !canRewind);
      createCaches({ caches, contextTokens: plan.contextTokens }, ledger, states);
    }
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
  await reserveSlots(plan, gpu, kv);
  for (const buffer of allowance) buffer.destroy();

  let stagedBytes = 0;
  let writtenBytes = 0;
  let taking = Promise.resolve<unknown>(undefined);
  let current = plan;
  return {
    get plan() {
      return current;
    },
    weights,
    kv,
    adopt(longer, tables) {
      for (const [name, table] of tables) {
        weights.get(name)?.destroy();
        weights.set(name, table);
      }
      current = longer;
    },
    async write(bufferName, offsetBytes, bytes) {
      const buffer = weights.get(bufferName);
      if (!buffer) throw new LoadError('internal', { message: `no GPU buffer is named ${bufferName}` });
      device.queue.writeBuffer(buffer, offsetBytes, bytes);
      writtenBytes += bytes.byteLength;
      stagedBytes += bytes.byteLength;
      if (stagedBytes >= STAGED_BYTES) {
        stagedBytes = 0;
        const before = taking;
        taking = device.queue.onSubmittedWorkDone().catch(() => undefined); // a lost device is found out below
        await before;
      }
      const lost = gpu.lostReason(); // other errors are for whoever runs the model to find, and to name
      if (lost !== null) throw deviceLost(lost);
    },
    async flush() {
      await device.queue.onSubmittedWorkDone();
    },
    writtenBytes: () => writtenBytes,
    destroy,
  };
}

/** Parked conversations are worth having, but no model has to do with less for them. */
async function reserveSlots(plan: LoadPlan, { device, ledger }: GpuContext, kv: KvStore): Promise<void> {
  while (kv.slots.length < plan.conversations - 1) {
    const caches: KvCaches = new Map();
    const refusal = await catchRefusal(device, () => {
      createCaches(plan, ledger, caches);
      // Now, because a swap that finds no room would leave the wrong conversation in the cache.
      kv.spare ??= createSpare(plan, ledger);
    });
    if (refusal === null) {
      kv.slots.push(caches);
      continue;
    }
    destroyCaches(caches);
    if (kv.slots.length > 0) return;
    kv.spare?.buffer.destroy();
    kv.spare = null;
    return;
  }
}

/** Bytes of the largest buffer that the device binds, or that the plan takes it to bind. */
export function largestBinding(plan: LoadPlan, limits: GPUSupportedLimits): number {
  const planned = plan.limits?.maxBufferBytes ?? Infinity;
  return Math.min(limits.maxBufferSize, limits.maxStorageBufferBindingSize, planned);
}

function checkLimits(plan: LoadPlan, limits: GPUSupportedLimits): void {
  const largestAllowed = largestBinding(plan, limits);
  const sizes = plan.weights.flatMap((weight) => weight.buffers.map(({ name, sizeBytes }) => ({ name, sizeBytes })));
  for (const spec of plan.caches) {
    sizes.push({ name: `the cache ${spec.past}`, sizeBytes: countCacheBytes(spec, plan.contextTokens) });
  }
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
