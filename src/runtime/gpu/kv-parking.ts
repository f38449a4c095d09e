/**
 * Parked conversations: copies of the KV cache's beginning in buffers of their own.
 *
 * In: the live cache, one set of buffers a slot, and a spare. Out: {@link KvParking}. Guarantees: copies are queued between
 * runs, so that a run before them and a run after them see what they should; only positions that hold something are copied;
 * nothing is allocated. The captured decode step is bound to the live cache: that is why conversations move, and not the
 * binding.
 */
import { assert } from '../../base/assert.ts';
import type { KvParking } from '../decoder.ts';
import { copyPositions, countRoom } from './kv-caches.ts';
import type { KvBuffer, KvStore } from './kv-caches.ts';

/** See the file's header. */
export function createGpuKvParking(device: GPUDevice, store: KvStore): KvParking {
  const forEach = (slot: number, work: (live: KvBuffer, parked: KvBuffer) => void): void => {
    for (const [name, parked] of store.slots[slot] ?? []) {
      const live = store.live.get(name);
      if (live) work(live, parked);
    }
  };

  return {
    slotCount: store.slots.length,
    roomOf: (slot) => countRoom(store.slots[slot]),
    park(slot, tokens) {
      const encoder = device.createCommandEncoder({ label: 'park a conversation' });
      forEach(slot, (live, parked) => copyPositions(live.spec, encoder, live, parked, tokens));
      device.queue.submit([encoder.finish()]);
    },
    swap(slot, liveTokens, parkedTokens) {
      const { spare } = store;
      assert(spare, 'where conversations are parked there is a spare');
      const encoder = device.createCommandEncoder({ label: 'swap conversations' });
      forEach(slot, (live, parked) => {
        copyPositions(live.spec, encoder, parked, spare, parkedTokens);
        copyPositions(live.spec, encoder, live, parked, liveTokens);
        copyPositions(live.spec, encoder, spare, live, parkedTokens);
      });
      device.queue.submit([encoder.finish()]);
    },
  };
}
