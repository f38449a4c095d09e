/**
 * Parked conversations: copies of the KV cache's beginning in buffers of their own.
 *
 * In: the live cache and one set of buffers a slot. Out: {@link KvParking}. Guarantees: copies are queued between runs, so
 * that a run before them and a run after them see what they should; only positions that hold something are copied. The
 * captured decode step is bound to the live cache: that is why conversations move, and not the binding.
 */
import type { LoadPlan } from '../contract/plan.ts';
import type { KvParking } from './decoder.ts';
import type { GpuContext } from './gpu.ts';

/** What parking works with; maps are by the name of the past input. */
export interface KvParkingParts {
  readonly gpu: Pick<GpuContext, 'device' | 'ledger'>;
  readonly plan: Pick<LoadPlan, 'shape' | 'contextTokens' | 'kvType'>;
  readonly live: ReadonlyMap<string, GPUBuffer>;
  readonly slots: readonly ReadonlyMap<string, GPUBuffer>[];
}

/** See the file's header. */
export function createGpuKvParking({ gpu, plan, live, slots }: KvParkingParts): KvParking {
  const { device, ledger } = gpu;
  const { kvHeadCount, headDim } = plan.shape;
  const positionBytes = headDim * (plan.kvType === 'float16' ? 2 : 4);
  const headBytes = plan.contextTokens * positionBytes;
  /** The first `tokens` positions of every head; the layout is [1, heads, positions, headDim]. */
  const copy = (encoder: GPUCommandEncoder, from: GPUBuffer, to: GPUBuffer, tokens: number): void => {
    for (let head = 0; head < kvHeadCount && tokens > 0; head++) {
      encoder.copyBufferToBuffer(from, head * headBytes, to, head * headBytes, tokens * positionBytes);
    }
  };
  const forEach = (slot: number, work: (live: GPUBuffer, parked: GPUBuffer) => void): void => {
    for (const [name, parked] of slots[slot] ?? []) {
      const buffer = live.get(name);
      if (buffer) work(buffer, parked);
    }
  };

  return {
    slotCount: slots.length,
    park(slot, tokens) {
      const encoder = device.createCommandEncoder({ label: 'park a conversation' });
      forEach(slot, (buffer, parked) => copy(encoder, buffer, parked, tokens));
      device.queue.submit([encoder.finish()]);
    },
    swap(slot, liveTokens, parkedTokens) {
      const usage = GPUBufferUsage.COPY_SRC | GPUBufferUsage.COPY_DST;
      const size = Math.max(4, kvHeadCount * headBytes);
      const spare = ledger.createBuffer('staging', { label: 'swap of conversations', size, usage });
      const encoder = device.createCommandEncoder({ label: 'swap conversations' });
      forEach(slot, (buffer, parked) => {
        copy(encoder, parked, spare, parkedTokens);
        copy(encoder, buffer, parked, liveTokens);
        copy(encoder, spare, buffer, parkedTokens);
      });
      device.queue.submit([encoder.finish()]);
      spare.destroy(); // which the queue outlives
    },
  };
}
