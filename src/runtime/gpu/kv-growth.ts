/**
 * Growth of the KV caches on a GPU: longer buffers, and what was in the shorter ones.
 *
 * In: the buffers of a model, and the tokens that are wanted. Out: {@link GrowthResult}. The rule of what may be taken: the
 * device has to give, at once and before anything is touched, all that the longer cache takes on top of the shorter one, one
 * buffer more (while its content is copied), and what activations were given at the load and the runtime does not hold already;
 * so a step that is granted leaves prefills the room that they had. Then each layer moves by itself: its new buffer, the copy,
 * and its old buffer is given back, so that the old and the new cache never exist side by side as a whole.
 *
 * Guarantees: nothing that a conversation holds is lost but in slots that are reported; where there is no room, everything has
 * the content and the room that it had (should the device refuse what it has just granted, some layers are longer than they
 * need to be, and the next growth finds them so).
 */
import { countCacheBytes, largestCacheBytes } from '../../base/cache-layout.ts';
import type { LoadPlan } from '../../contract/plan.ts';
import type { GrowthRequest, GrowthResult } from '../decoder.ts';
import { alignSize, bufferUsage, catchRefusal } from './allocation.ts';
import { largestBinding } from './buffers.ts';
import type { GpuBuffers } from './buffers.ts';
import { toGpuError } from './errors.ts';
import { copyPositions, createCache, createCaches, createSpare, destroyCaches } from './kv-caches.ts';
import type { KvBuffer, KvCaches, SpareBuffer } from './kv-caches.ts';
import type { GpuContext } from './device.ts';
import { deviceLost } from '../ort/runtime-errors.ts';

/** What growth needs to know of a model's plan. */
export interface ContextResizing {
  /** The plan of the same model with another number of tokens. */
  readonly resize: (plan: LoadPlan, contextTokens: number) => LoadPlan;
  /** Writes the rotary tables of such a plan, by the names of their buffers; offsets and lengths in multiples of 4 bytes. */
  readonly fillTables: (
    plan: LoadPlan,
    write: (bufferName: string, offsetBytes: number, bytes: Uint8Array<ArrayBuffer>) => void,
  ) => Promise<void>;
}

/** Bytes of old buffers that may wait for the GPU to be done with them. */
const MAX_WAITING_BYTES = 64 * 2 ** 20;

/** Grows; what of the live cache was replaced has to be bound again. @throws LoadError `device_lost`, `runtime_failed` */
export async function growKvCaches(
  gpu: GpuContext,
  buffers: GpuBuffers,
  { resize, fillTables }: ContextResizing,
  { steps, liveTokens, slots }: GrowthRequest,
): Promise<GrowthResult> {
  try {
    const forgotten: number[] = [];
    const expendable = slots.filter(({ slot }) => buffers.kv.slots[slot]?.size);
    const plans = steps.map((tokens) => resize(buffers.plan, tokens));
    let granted = await findRoom(gpu, buffers, plans);
    while (granted === null) {
      // The conversation that runs goes before those that wait.
      const least = expendable.pop();
      const caches = least && buffers.kv.slots[least.slot];
      if (!caches) break;
      destroyCaches(caches);
      forgotten.push(least.slot);
      await gpu.device.queue.onSubmittedWorkDone();
      granted = await findRoom(gpu, buffers, plans);
    }
    let grown = false;
    if (granted !== null) {
      const { plan, allowance } = granted;
      try {
        grown = await growLive(gpu, buffers, plan, liveTokens, fillTables);
        if (grown) await growSlots(gpu, buffers, plan, expendable);
      } finally {
        for (const buffer of allowance) buffer.destroy();
      }
    }
    if (!grown) await refillSlots(gpu, buffers, forgotten);
    const lost = await gpu.lostSoon();
    if (lost !== null) throw deviceLost(lost);
    return { grown, forgotten };
  } catch (error) {
    throw await toGpuError(error, 'growing the KV cache', gpu);
  }
}

/** The first of these plans that the device has room for, with the room for activations still taken; null where it has none. */
async function findRoom(
  gpu: GpuContext,
  { kv, plan: current }: GpuBuffers,
  plans: readonly LoadPlan[],
): Promise<{ plan: LoadPlan; allowance: GPUBuffer[] } | null> {
  const runtimeBytes = gpu.ledger.totals().liveBytesByPurpose.runtime;
  const activationBytes = Math.max(0, current.costs.activationBytes - runtimeBytes);
  for (const plan of plans) {
    const pieceBytes = alignSize(largestCacheBytes(plan.caches, plan.contextTokens));
    const shorter = [...kv.live.values()].filter(({ tokens }) => tokens < plan.contextTokens);
    const cacheBytes = shorter.reduce(
      (sum, { spec, buffer }) => sum + alignSize(countCacheBytes(spec, plan.contextTokens)) - buffer.size,
      pieceBytes,
    );
    const tableBytes = listTables(plan).reduce((sum, { sizeBytes }) => sum + alignSize(sizeBytes), 0);
    const extra: GPUBuffer[] = [];
    const allowance: GPUBuffer[] = [];
    const take = (into: GPUBuffer[], label: string, totalBytes: number, mostBytes: number): void => {
      for (let sum = 0; sum < totalBytes; sum += mostBytes) {
        const size = alignSize(Math.min(mostBytes, totalBytes - sum));
        into.push(gpu.ledger.createBuffer('staging', { label, size, usage: bufferUsage() }));
      }
    };
    const refusal = await catchRefusal(gpu.device, () => {
      take(extra, 'room to grow', cacheBytes + tableBytes, pieceBytes);
      take(allowance, 'activation allowance', activationBytes, largestBinding(plan, gpu.device.limits));
    });
    for (const buffer of extra) buffer.destroy();
    if (refusal === null) return { plan, allowance };
    for (const buffer of allowance) buffer.destroy();
  }
  return null;
}

/** The live cache, and the tables that its positions are looked up in; false where it stays as long as it was. */
async function growLive(
  gpu: GpuContext,
  buffers: GpuBuffers,
  plan: LoadPlan,
  liveTokens: number,
  fillTables: ContextResizing['fillTables'],
): Promise<boolean> {
  const tables = new Map<string, GPUBuffer>();
  let grown = false;
  try {
    const refusal = await catchRefusal(gpu.device, () => {
      for (const { name, sizeBytes } of listTables(plan)) {
        const descriptor = { label: name, size: alignSize(sizeBytes), usage: bufferUsage() };
        tables.set(name, gpu.ledger.createBuffer('weights', descriptor));
      }
    });
    if (refusal !== null) return false;
    await fillTables(plan, (name, offsetBytes, bytes) => {
      const table = tables.get(name);
      if (table) gpu.device.queue.writeBuffer(table, offsetBytes, bytes);
    });
    grown = await growCaches(gpu, plan, buffers.kv.live, liveTokens);
    if (grown) buffers.adopt(plan, tables);
    return grown;
  } finally {
    if (!grown) for (const table of tables.values()) table.destroy();
  }
}

/** Parked conversations, the one that is most likely to be asked for first; those that find no room stay as they are. */
async function growSlots(
  gpu: GpuContext,
  { kv }: GpuBuffers,
  plan: LoadPlan,
  slots: GrowthRequest['slots'],
): Promise<void> {
  if (slots.length === 0) return;
  let spare: SpareBuffer | null = null;
  const refusal = await catchRefusal(gpu.device, () => (spare = createSpare(plan, gpu.ledger)));
  const unused = refusal === null ? kv.spare : (spare as SpareBuffer | null);
  if (refusal === null) kv.spare = spare;
  unused?.buffer.destroy();
  if (refusal !== null) return;
  for (const { slot, tokens } of slots) {
    const caches = kv.slots[slot];
    if (caches && !(await growCaches(gpu, plan, caches, tokens))) return;
  }
}

/** One conversation's buffers, a layer's keys or values at a time; false where the device refused one. */
async function growCaches(gpu: GpuContext, plan: LoadPlan, caches: KvCaches, tokens: number): Promise<boolean> {
  const { device, ledger } = gpu;
  let waitingBytes = 0;
  for (const [name, old] of caches) {
    if (old.tokens >= plan.contextTokens) continue;
    let made: KvBuffer | null = null;
    const refusal = await catchRefusal(device, () => (made = createCache(old.spec, plan.contextTokens, ledger)));
    const longer = made as KvBuffer | null; // assigned in a callback, which TypeScript does not follow
    if (refusal !== null || longer === null) {
      longer?.buffer.destroy();
      return false;
    }
    const encoder = device.createCommandEncoder({ label: 'grow the KV cache' });
    copyPositions(old.spec, encoder, old, longer, tokens);
    device.queue.submit([encoder.finish()]);
    caches.set(name, longer);
    old.buffer.destroy(); // the GPU keeps it until the copy is done
    waitingBytes += old.buffer.size;
    if (waitingBytes < MAX_WAITING_BYTES) continue;
    waitingBytes = 0;
    await device.queue.onSubmittedWorkDone();
  }
  return true;
}

/** Gives slots that were given up for nothing their buffers back, empty, where there still is room. */
async function refillSlots(gpu: GpuContext, { kv, plan }: GpuBuffers, slots: readonly number[]): Promise<void> {
  for (const slot of slots) {
    const caches = kv.slots[slot];
    if (!caches) continue;
    const refusal = await catchRefusal(gpu.device, () => createCaches(plan, gpu.ledger, caches));
    if (refusal !== null) destroyCaches(caches);
  }
}

function listTables({ weights }: LoadPlan): readonly { readonly name: string; readonly sizeBytes: number }[] {
  return weights.flatMap(({ computed, buffers }) => (computed === null ? [] : buffers));
}
