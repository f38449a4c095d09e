/**
 * Which conversation the live KV cache holds, and which ones are parked.
 *
 * In: the token ids that are to run next. Out: the live cache with as much of them as any conversation had. Guarantees: a
 * conversation that is pushed out is parked if it is worth keeping; the least recently used one makes room; what a slot is
 * said to hold was copied there, to the last position; what does not fit a slot is not put there.
 */
import type { KvParking } from '../../runtime/decoder.ts';

/** Fewer tokens are computed again sooner than they are copied and kept. */
const WORTH_KEEPING_TOKENS = 16;

interface Slot {
  readonly index: number;
  ids: readonly number[];
  usedAt: number;
}

/** See the file's header. */
export class Conversations {
  readonly #parking: KvParking | null;
  readonly #slots: Slot[];
  #clock = 0;
  #liveIds: number[] = [];

  constructor(parking: KvParking | null) {
    this.#parking = parking;
    this.#slots = Array.from({ length: parking?.slotCount ?? 0 }, (_, index) => ({
      index,
      ids: [],
      usedAt: 0,
    }));
  }

  /** What the live cache holds, position by position. */
  get liveIds(): readonly number[] {
    return this.#liveIds;
  }

  /** The slots that there are, the one that is most likely to be asked for first, and how many positions each holds. */
  get parked(): readonly { readonly slot: number; readonly tokens: number }[] {
    return this.#slots
      .filter((slot) => this.#roomOf(slot) > 0)
      .toSorted((a, b) => Number(b.ids.length > 0) - Number(a.ids.length > 0) || b.usedAt - a.usedAt)
      .map(({ index, ids }) => ({ slot: index, tokens: ids.length }));
  }

  /** Brings back the conversation that `ids` go on with, if it is parked; yields how many of them the live cache holds. */
  switchTo(ids: readonly number[]): number {
    const live = commonPrefixLength(this.#liveIds, ids);
    const best = this.#slots
      .map((slot) => ({ slot, shared: commonPrefixLength(slot.ids, ids) }))
      .reduce((a, b) => (b.shared > a.shared ? b : a), { slot: null as Slot | null, shared: 0 });
    if (best.slot && best.shared >= live + WORTH_KEEPING_TOKENS) {
      this.#swap(best.slot);
      return best.shared;
    }
    if (this.#liveIds.length - live >= WORTH_KEEPING_TOKENS) this.#park();
    return live;
  }

  /** The live cache holds these too, after all that it held. */
  append(ids: readonly number[]): void {
    for (const id of ids) this.#liveIds.push(id);
  }

  /** The live cache holds no more than so many positions. */
  truncate(length: number): void {
    this.#liveIds.length = Math.min(length, this.#liveIds.length);
  }

  /** These slots hold nothing any more. */
  forget(slots: readonly number[]): void {
    for (const slot of this.#slots) if (slots.includes(slot.index)) slot.ids = [];
  }

  /** Forgets everything, parked conversations too. */
  clear(): void {
    this.#liveIds = [];
    for (const slot of this.#slots) slot.ids = [];
  }

  #swap(slot: Slot): void {
    const isWorthIt = this.#liveIds.length >= WORTH_KEEPING_TOKENS;
    const keeps = isWorthIt && this.#liveIds.length <= this.#roomOf(slot);
    if (isWorthIt && !keeps) this.#park(); // this slot has not grown with the live cache; another one may have
    const parked = slot.ids;
    this.#parking?.swap(slot.index, keeps ? this.#liveIds.length : 0, parked.length);
    slot.ids = keeps ? this.#liveIds : [];
    slot.usedAt = ++this.#clock;
    this.#liveIds = [...parked];
  }

  #park(): void {
    const slot = this.#chooseSlot();
    if (!slot) return;
    this.#parking?.park(slot.index, this.#liveIds.length);
    slot.ids = [...this.#liveIds];
    slot.usedAt = ++this.#clock;
  }

  #roomOf({ index }: Slot): number {
    return this.#parking?.roomOf(index) ?? 0;
  }

  /** An earlier state of the same conversation, else an empty slot, else the least recently used. */
  #chooseSlot(): Slot | undefined {
    const isEarlier = ({ ids }: Slot): boolean => 2 * commonPrefixLength(ids, this.#liveIds) > ids.length;
    const byUse = this.#slots
      .filter((slot) => this.#liveIds.length <= this.#roomOf(slot))
      .toSorted((a, b) => a.usedAt - b.usedAt);
    return byUse.find(isEarlier) ?? byUse.find(({ ids }) => ids.length === 0) ?? byUse[0];
  }
}

function commonPrefixLength(a: readonly number[], b: readonly number[]): number {
  const limit = Math.min(a.length, b.length);
  let length = 0;
  while (length < limit && a[length] === b[length]) length++;
  return length;
}
