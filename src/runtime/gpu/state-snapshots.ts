/**
 * Copies of the states that cannot be cut back, in buffers of their own.
 *
 * In: the live caches, and one set of buffers a slot. Out: {@link StateSnapshots}. Guarantees: copies are queued between runs,
 * so that a run before them and a run after them see what they should; nothing is allocated; caches that can be cut back are
 * left alone.
 */
import { assert } from '../../base/assert.ts';
import type { StateSnapshots } from '../decoder.ts';
import { copyPositions } from './kv-caches.ts';
import type { KvBuffer, KvStore } from './kv-caches.ts';

/** Null where the model has no such state. */
export function createGpuStateSnapshots(
  device: GPUDevice,
  store: Pick<KvStore, 'live' | 'snapshots'>,
): StateSnapshots | null {
  if (store.snapshots.length === 0) return null;
  const submit = (label: string, encode: (encoder: GPUCommandEncoder) => void): void => {
    const encoder = device.createCommandEncoder({ label });
    encode(encoder);
    device.queue.submit([encoder.finish()]);
  };
  const forEach = (slot: number, work: (live: KvBuffer, kept: KvBuffer) => void): void => {
    for (const [name, kept] of store.snapshots[slot] ?? []) {
      const live = store.live.get(name);
      assert(live, 'a state that is kept is one of the live ones');
      work(live, kept);
    }
  };
  return {
    slotCount: store.snapshots.length,
    take: (slot) =>
      submit('keep the states', (encoder) =>
        forEach(slot, (live, kept) => copyPositions(live.spec, encoder, live, kept, 1)),
      ),
    restore: (slot) =>
      submit('go back to earlier states', (encoder) =>
        forEach(slot, (live, kept) => copyPositions(live.spec, encoder, kept, live, 1)),
      ),
    clear: () => submit('begin anew', (encoder) => forEach(0, ({ buffer }) => encoder.clearBuffer(buffer))),
  };
}
