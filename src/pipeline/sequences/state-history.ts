/**
 * Which earlier states of a model that cannot rewind there are copies of.
 *
 * In: the ids that a model's states have taken up. Out: the states as they were after some of them. Guarantees: a copy is
 * restored for sequences that begin with exactly the ids that it has taken up, and for no other; the least recently used copy
 * makes room for a new one.
 */
import type { StateSnapshots } from '../../runtime/decoder.ts';

/** A slot of the device, and what it holds; no ids where it holds nothing. */
interface Snapshot {
  readonly slot: number;
  ids: readonly number[];
  usedAt: number;
}

/** See the file's header. */
export class StateHistory {
  readonly #device: StateSnapshots;
  readonly #snapshots: readonly Snapshot[];
  #clock = 0;

  constructor(device: StateSnapshots) {
    this.#device = device;
    this.#snapshots = Array.from({ length: device.slotCount }, (_, slot) => ({ slot, ids: [], usedAt: 0 }));
  }

  /** The length of the longest sequence, of at most `length` of these ids, that there is a copy of; 0 where there is none. */
  reach(ids: readonly number[], length: number): number {
    return this.#find(ids, length)?.ids.length ?? 0;
  }

  /** The states have taken up these ids: keeps a copy. */
  take(ids: readonly number[]): void {
    const oldest = this.#snapshots.reduce<Snapshot | null>(
      (found, snapshot) => (found === null || snapshot.usedAt < found.usedAt ? snapshot : found),
      null,
    );
    const snapshot = this.#snapshots.find((known) => isPrefix(known.ids, ids, ids.length)) ?? oldest;
    if (snapshot === null || ids.length === 0) return;
    snapshot.ids = []; // until it is done
    this.#device.take(snapshot.slot);
    snapshot.ids = [...ids];
    snapshot.usedAt = ++this.#clock;
  }

  /** Restores what {@link reach} says, and yields its length; at 0 the states begin anew. */
  restore(ids: readonly number[], length: number): number {
    const snapshot = this.#find(ids, length);
    if (!snapshot) {
      this.#device.clear();
      return 0;
    }
    this.#device.restore(snapshot.slot);
    snapshot.usedAt = ++this.#clock;
    return snapshot.ids.length;
  }

  /** Forgets all copies. */
  clear(): void {
    for (const snapshot of this.#snapshots) {
      snapshot.ids = [];
      snapshot.usedAt = 0;
    }
  }

  #find(ids: readonly number[], length: number): Snapshot | undefined {
    return this.#snapshots
      .filter((snapshot) => snapshot.ids.length > 0 && snapshot.ids.length <= length && isPrefix(snapshot.ids, ids))
      .toSorted((a, b) => b.ids.length - a.ids.length)[0];
  }
}

/** Whether `ids` begin with `prefix`, and, where it is given, whether that has so many ids. */
function isPrefix(prefix: readonly number[], ids: readonly number[], length = prefix.length): boolean {
  return prefix.length === length && prefix.length <= ids.length && prefix.every((id, index) => id === ids[index]);
}
