/**
 * The buffers of a model on a device in JavaScript: all or none, every byte given back, and what is copied between them.
 */
import { beforeAll, describe, expect, it } from 'vitest';
import { cacheDims, countCacheBytes, describeRuns } from '../../../src/base/cache-layout.ts';
import type { CacheSpec } from '../../../src/contract/caches.ts';
import type { LoadPlan } from '../../../src/contract/plan.ts';
import { computeRotary } from '../../../src/blueprints/rotary/rotary.ts';
import { fillTables } from '../../../src/pipeline/fill/fill.ts';
import { resizeContext } from '../../../src/pipeline/plan/resize-context.ts';
import { bindModel } from '../../../src/runtime/gpu/bindings.ts';
import { reserveGpuBuffers } from '../../../src/runtime/gpu/buffers.ts';
import { growKvCaches } from '../../../src/runtime/gpu/kv-growth.ts';
import type { KvBuffer, KvCaches } from '../../../src/runtime/gpu/kv-caches.ts';
import { createGpuKvParking } from '../../../src/runtime/gpu/kv-parking.ts';
import { createGpuStateSnapshots } from '../../../src/runtime/gpu/state-snapshots.ts';
import type { Ort } from '../../../src/runtime/ort/onnxruntime.ts';
import { listTensors, LLAMA_CONFIG, makeSingle, plan } from '../plan/made-repository.ts';
import { createFakeGpu, defineGpuConstants, fakeOf } from './fake-gpu.ts';
import type { FakeGpu } from './fake-gpu.ts';

beforeAll(defineGpuConstants);

const RESIZING = {
  resize: resizeContext,
  fillTables: (longer: LoadPlan, write: Parameters<typeof fillTables>[0]['write']) =>
    fillTables({ plan: longer, computeRotary, write }),
};

const state = (layer: number, kind: 'conv' | 'recurrent', dims: readonly number[]): CacheSpec => ({
  layer,
  kind,
  past: `past_${kind}.${layer}`,
  present: `present_${kind}.${layer}`,
  type: 'float16',
  dims,
  windowTokens: null,
  canRewind: false,
});

/** Of 30 bytes, which is no whole number of words, and of 64. */
const STATES = [state(0, 'conv', [1, 5, 3]), state(1, 'recurrent', [1, 2, 4, 4])];

/** A real plan for 32 tokens; with states where `stateSnapshots` are asked for. */
async function makePlan(conversations = 3, stateSnapshots = 0): Promise<LoadPlan> {
  const config = { ...LLAMA_CONFIG, max_position_embeddings: 4096 };
  const made = await plan(makeSingle(config, listTensors(config)), {
    request: {
      dtype: 'fp32',
      device: 'webgpu',
      contextTokens: { reserve: 32, max: 4096 },
      simulatedLimits: null,
      conversations,
    },
  });
  return stateSnapshots === 0 ? made : { ...made, stateSnapshots, caches: [...made.caches, ...STATES] };
}

/** Bytes of each purpose, as the plan says. */
const kvBytes = ({ caches, contextTokens }: LoadPlan): number =>
  caches.reduce((sum, spec) => sum + Math.ceil(countCacheBytes(spec, contextTokens) / 16) * 16, 0);

/** A value for every byte of the first `tokens` positions, another one for each head, position and conversation. */
function write(caches: KvCaches, tokens: number, seed: number): void {
  for (const { spec, buffer, tokens: room } of caches.values()) {
    const { bytes } = fakeOf(buffer);
    const layout = describeRuns(spec);
    if (layout === null) {
      bytes.fill(seed);
      continue;
    }
    for (let run = 0; run < layout.runs; run++) {
      for (let token = 0; token < tokens; token++) {
        const from = (run * room + token) * layout.positionBytes;
        bytes.fill((seed + 7 * run + 31 * token) % 251, from, from + layout.positionBytes);
      }
    }
  }
}

function expectContent(caches: KvCaches, tokens: number, seed: number): void {
  for (const { spec, buffer, tokens: room } of caches.values()) {
    const { bytes } = fakeOf(buffer);
    const layout = describeRuns(spec) ?? { runs: 0, positionBytes: 0 };
    if (layout.runs === 0) expect(new Set(bytes.subarray(0, countCacheBytes(spec, 0)))).toEqual(new Set([seed]));
    for (let run = 0; run < layout.runs; run++) {
      for (let token = 0; token < tokens; token++) {
        const from = (run * room + token) * layout.positionBytes;
        const found = new Set(bytes.subarray(from, from + layout.positionBytes));
        expect(found, `${spec.past}: run ${run}, position ${token}`).toEqual(
          new Set([(seed + 7 * run + 31 * token) % 251]),
        );
      }
    }
  }
}

async function reserve(fake: FakeGpu, given: LoadPlan) {
  const buffers = await reserveGpuBuffers(given, fake.gpu);
  return {
    buffers,
    kv: buffers.kv,
    slot: (index: number): KvCaches => buffers.kv.slots[index] ?? new Map<string, KvBuffer>(),
  };
}

describe('reserving', () => {
  it('books what the plan costs, and gives all of it back', async () => {
    const fake = createFakeGpu();
    const given = await makePlan(3, 4);
    const { buffers, kv } = await reserve(fake, given);
    const { liveBytesByPurpose } = fake.ledger.totals();
    const snapshotBytes = 4 * (32 + 64);
    expect(liveBytesByPurpose.weights).toBe(given.costs.weightBytes);
    expect(liveBytesByPurpose.kvCache).toBe(3 * kvBytes(given) + snapshotBytes);
    expect([kv.slots.length, kv.snapshots.length]).toEqual([2, 4]);
    buffers.destroy();
    expect([fake.usedBytes, fake.ledger.totals().liveBytes, fake.ledger.totals().liveBuffers]).toEqual([0, 0, 0]);
  });

  it('makes all buffers or none, whichever the device refuses', async () => {
    const given = await makePlan(1, 2);
    const whole = createFakeGpu();
    await reserve(whole, given);
    for (let index = 0; index < whole.made.length; index++) {
      const fake = createFakeGpu();
      fake.refuseIn = index;
      await expect(reserveGpuBuffers(given, fake.gpu)).rejects.toMatchObject({ code: 'out_of_memory' });
      expect([fake.usedBytes, fake.ledger.totals().liveBytes]).toEqual([0, 0]);
    }
  });

  it('has fewer slots for parked conversations where there is no room, and room for activations all the same', async () => {
    const given = await makePlan(4);
    const { weightBytes, activationBytes } = given.costs;
    const spareBytes = Math.max(...given.caches.map((spec) => countCacheBytes(spec, given.contextTokens)));
    const base = weightBytes + activationBytes + kvBytes(given) + 1000;
    for (const [room, slots] of [
      [base, 0],
      [base + kvBytes(given), 0], // a slot, but nothing to swap with
      [base + kvBytes(given) + spareBytes, 1],
      [base + 2 * kvBytes(given) + spareBytes, 2],
    ] as const) {
      const fake = createFakeGpu(room);
      const { buffers, kv } = await reserve(fake, given);
      expect([kv.slots.length, kv.spare === null]).toEqual([slots, slots === 0]);
      expect(fake.usedBytes).toBe(weightBytes + (1 + slots) * kvBytes(given) + (slots > 0 ? spareBytes : 0));
      buffers.destroy();
      expect(fake.usedBytes).toBe(0);
    }
  });

  it('names what is larger than the device binds, and says so where the device is lost', async () => {
    const given = await makePlan(1);
    const small = createFakeGpu(Infinity, { maxStorageBufferBindingSize: 1024 });
    await expect(reserveGpuBuffers(given, small.gpu)).rejects.toMatchObject({ code: 'does_not_fit' });
    const lost = createFakeGpu();
    await lost.lose('unplugged');
    await expect(reserveGpuBuffers(given, lost.gpu)).rejects.toMatchObject({ code: 'device_lost' });
    expect(lost.usedBytes).toBe(0);
  });

  it('binds what a graph has inputs for: past and present of a cache are one buffer', async () => {
    const given = await makePlan(1, 2);
    const { buffers } = await reserve(createFakeGpu(), given);
    const fromGpuBuffer = (buffer: GPUBuffer, { dims }: { dims: readonly number[] }) => ({ buffer, dims });
    const ort = { Tensor: { fromGpuBuffer } } as unknown as Ort;
    const [kv, conv] = [given.caches[0], STATES[0]] as [CacheSpec, CacheSpec];
    const { feeds, fetches } = bindModel(ort, given, buffers, { inputNames: [kv.past, conv.past, 'input_ids'] });
    expect(Object.keys(feeds)).toEqual([kv.past, conv.past]);
    for (const spec of [kv, conv]) {
      const bound = { buffer: buffers.kv.live.get(spec.past)?.buffer, dims: cacheDims(spec, 32) };
      expect(feeds[spec.past]).toEqual(bound);
      expect(fetches[spec.present]).toEqual(bound);
    }
    buffers.kv.live.delete(kv.past);
    expect(() => bindModel(ort, given, buffers, { inputNames: [kv.past] })).toThrow(/no buffer/u);
  });
});

describe('parked conversations', () => {
  it('are copied and exchanged whole, keys and states, both ways', async () => {
    const fake = createFakeGpu();
    const { kv, slot } = await reserve(fake, await makePlan(3, 2));
    const parking = createGpuKvParking(fake.device, kv);
    expect([parking.slotCount, parking.roomOf(0), parking.roomOf(9)]).toEqual([2, 32, 0]);
    write(kv.live, 9, 1);
    parking.park(1, 9);
    write(kv.live, 32, 2);
    expectContent(slot(1), 9, 1);
    parking.swap(1, 32, 9);
    expectContent(kv.live, 9, 1);
    expectContent(slot(1), 32, 2);
    parking.swap(1, 0, 32); // what ran is not worth keeping
    expectContent(kv.live, 32, 2);
  });
});

describe('copies of states', () => {
  it('are taken and restored, and leave keys alone; none where every cache can be cut back', async () => {
    const fake = createFakeGpu();
    const { kv } = await reserve(fake, await makePlan(1, 2));
    const snapshots = createGpuStateSnapshots(fake.device, kv);
    expect(snapshots?.slotCount).toBe(2);
    write(kv.live, 32, 3);
    snapshots?.take(0);
    write(kv.live, 32, 4);
    snapshots?.take(1);
    const states = new Map([...kv.live].filter(([, { spec }]) => !spec.canRewind));
    const keys = new Map([...kv.live].filter(([, { spec }]) => spec.canRewind));
    snapshots?.restore(0);
    expectContent(states, 0, 3);
    expectContent(keys, 32, 4);
    snapshots?.clear();
    expectContent(states, 0, 0);
    expectContent(keys, 32, 4);
    snapshots?.restore(1);
    expectContent(states, 0, 4);

    const plain = createFakeGpu();
    expect(createGpuStateSnapshots(plain.device, (await reserve(plain, await makePlan(1))).kv)).toBeNull();
  });
});

describe('growth', () => {
  const slots = [
    { slot: 1, tokens: 20 },
    { slot: 0, tokens: 10 },
  ];

  it('keeps every head of every conversation, and states as they are', async () => {
    const fake = createFakeGpu();
    const { buffers, kv, slot } = await reserve(fake, await makePlan(3, 2));
    [kv.live, slot(0), slot(1)].forEach((caches, index) => write(caches, 32, index + 1));
    const states = STATES.map(({ past }) => kv.live.get(past));
    const result = await growKvCaches(fake.gpu, buffers, RESIZING, { steps: [100], liveTokens: 30, slots });
    expect(result).toEqual({ grown: true, forgotten: [] });
    expect(buffers.plan.contextTokens).toBe(100);
    expectContent(kv.live, 30, 1);
    expectContent(slot(0), 10, 2);
    expectContent(slot(1), 20, 3);
    expect(STATES.map(({ past }) => kv.live.get(past))).toEqual(states);
    expect(createGpuKvParking(fake.device, kv).roomOf(0)).toBe(100);
    // The rotary tables are those of a load for so many tokens.
    const [rotary] = Object.values(buffers.plan.spec.rotary);
    if (!rotary) throw new Error('the model has no rotary embedding');
    const { cos } = computeRotary(rotary, 100);
    const table = buffers.plan.weights.find(({ computed }) => computed?.kind === 'rotary-cos')?.name ?? '';
    const { bytes } = fakeOf(buffers.weights.get(table));
    expect(new Float32Array(bytes.buffer, 0, cos.length)).toEqual(cos);
    buffers.destroy();
    expect([fake.usedBytes, fake.ledger.totals().liveBytes]).toEqual([0, 0]);
  });

  it('takes a smaller step where the best one has no room', async () => {
    const fake = createFakeGpu();
    const { buffers } = await reserve(fake, await makePlan(1));
    fake.room = fake.usedBytes + buffers.plan.costs.activationBytes + 200 * buffers.plan.costs.kvBytesPerToken;
    const result = await growKvCaches(fake.gpu, buffers, RESIZING, { steps: [1000, 64], liveTokens: 5, slots: [] });
    expect([result.grown, buffers.plan.contextTokens]).toEqual([true, 64]);
  });

  it('gives up parked conversations for the one that runs, those of the least worth first', async () => {
    const fake = createFakeGpu();
    const given = await makePlan(3);
    const { buffers, kv, slot } = await reserve(fake, given);
    [kv.live, slot(0), slot(1)].forEach((caches, index) => write(caches, 32, index + 1));
    // One slot's bytes are what is missing.
    const longer = resizeContext(given, 40);
    const pieceBytes = Math.max(...longer.caches.map((spec) => countCacheBytes(spec, 40)));
    const tableBytes = longer.costs.weightBytes - given.costs.weightBytes + given.costs.activationBytes;
    fake.room = fake.usedBytes + kvBytes(longer) - kvBytes(given) + pieceBytes + tableBytes;
    const result = await growKvCaches(fake.gpu, buffers, RESIZING, { steps: [40], liveTokens: 30, slots });
    expect(result).toEqual({ grown: true, forgotten: [0] });
    expectContent(kv.live, 30, 1);
    expectContent(slot(1), 20, 3);
    expect(createGpuKvParking(fake.device, kv).roomOf(0)).toBe(0);
    buffers.destroy();
    expect(fake.usedBytes).toBe(0);
  });

  it('that is refused leaves everything as it was, but that slots were emptied', async () => {
    const fake = createFakeGpu();
    const { buffers, kv } = await reserve(fake, await makePlan(3, 2));
    write(kv.live, 32, 5);
    fake.room = fake.usedBytes;
    const before = [...kv.live.values()];
    const usedBytes = fake.usedBytes;
    const result = await growKvCaches(fake.gpu, buffers, RESIZING, { steps: [4000], liveTokens: 32, slots });
    expect(result).toEqual({ grown: false, forgotten: [0, 1] });
    expect([...kv.live.values()]).toEqual(before);
    expectContent(kv.live, 32, 5);
    expect([fake.usedBytes, buffers.plan.contextTokens]).toEqual([usedBytes, 32]);
    expect(createGpuKvParking(fake.device, kv).roomOf(1)).toBe(32);
  });

  it('on a device that is lost meanwhile says so', async () => {
    const fake = createFakeGpu();
    const { buffers } = await reserve(fake, await makePlan(1));
    await fake.lose('unplugged');
    const growing = growKvCaches(fake.gpu, buffers, RESIZING, { steps: [64], liveTokens: 1, slots: [] });
    await expect(growing).rejects.toMatchObject({ code: 'device_lost' });
  });
});

describe('the account of memory', () => {
  it('counts by purpose, peaks too, once for a buffer that is given back twice, and is closed with the device', async () => {
    const { device, ledger, gpu } = createFakeGpu();
    const usage = 128;
    const ours = ledger.createBuffer('weights', { size: 64, usage });
    const theirs = device.createBuffer({ size: 32, usage });
    expect(ledger.totals()).toEqual({
      liveBytes: 96,
      peakBytes: 96,
      liveBuffers: 2,
      liveBytesByPurpose: { weights: 64, kvCache: 0, staging: 0, runtime: 32 },
    });
    theirs.destroy();
    theirs.destroy();
    expect([ledger.peakBytesOf('runtime'), ledger.totals().liveBytes]).toEqual([32, 64]);
    ledger.restartPeaks();
    expect([ledger.peakBytesOf('runtime'), ledger.peakBytesOf('weights')]).toEqual([0, 64]);
    gpu.destroy();
    ours.destroy();
    expect([ledger.totals().liveBytes, ledger.totals().peakBytes]).toEqual([0, 96]);
    await Promise.resolve();
  });
});
