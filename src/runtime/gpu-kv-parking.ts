/**
 * Parked conversations: copies of the KV cache's beginning in buffers of their own.
 *
 * In: the live cache, one set of buffers a slot, and a spare. Out: {@link KvParking}. Guarantees: copies are queued between
 * runs, so that a run before them and a run after them see what they should; only positions that hold something are copied;
 * nothing is allocated. The captured decode step is bound to the live cache: that is why conversations move, and not the
 * binding.
 */
import { assert } from '../base/assert.ts';
import type { LoadPlan } from '../contract/plan.ts';
import type { KvParking } from './decoder.ts';
import type { GpuBuffers } from './gpu-buffers.ts';

/** See the file's header. */
export function createGpuKvParking(
  device: GPUDevice,
  plan: Pick<LoadPlan, 'shape' | 'contextTokens' | 'kvType'>,
  { kvCaches, parkedCaches, spareCache }: Pick<GpuBuffers, 'kvCaches' | 'parkedCaches' | 'spareCache'>,
): KvParking {
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
    for (const [name, parked] of parkedCaches[slot] ?? []) {
      const live = kvCaches.get(name);
      if (live) work(live, parked);
    }
  };

  return {
    slotCount: parkedCaches.length,
    park(slot, tokens) {
      const encoder = device.createCommandEncoder({ label: 'park a conversation' });
      forEach(slot, (live, parked) => copy(encoder, live, parked, tokens));
      device.queue.submit([encoder.finish()]);
    },
    swap(slot, liveTokens, parkedTokens) {
      assert(spareCache, 'where conversations are parked there is a spare');
      const encoder = device.createCommandEncoder({ label: 'swap conversations' });
      forEach(slot, (live, parked) => {
        copy(encoder, parked, spareCache, parkedTokens);
        copy(encoder, live, parked, liveTokens);
        copy(encoder, spareCache, live, parkedTokens);
      });
      device.queue.submit([encoder.finish()]);
    },
  };
}
