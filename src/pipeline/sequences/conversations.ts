/**
 * Which conversation the live KV cache holds, and which ones are parked.
 *
 * In: the token ids that are to run next. Out: the live cache with as much of them as any conversation had. Guarantees: a
 * conversation that is pushed out is parked if it is worth keeping; the least recently used one makes room; what a slot is
 * said to hold was copied there, to the last position; what does not fit a slot is not put there.
 *
 * Keys and values are cut back by forgetting the last ones. A state that cannot be cut back has taken up some tokens and no
 * others: where the model has such states, a conversation is worth what its states, or a copy of earlier ones, are a beginning
 * of; and where nobody knows what the states have taken up, because a run did not finish, only the copies count.
 */
import { assert } from '../../base/assert.ts';
import type { KvParking, StateSnapshots } from '../../runtime/decoder.ts';
import { StateHistory } from './state-history.ts';

/** Fewer tokens are computed again sooner than they are copied and kept. */
const WORTH_KEEPING_TOKENS = 16;

/** What a cache holds. */
interface Held {
  /** Position by position. */
  readonly ids: readonly number[];
  /** Whether the states that cannot be cut back have taken up exactly these. */
  readonly statesKnown: boolean;
}

interface Slot extends Held {
  readonly index: number;
  ids: readonly number[];
  statesKnown: boolean;
  usedAt: number;
}

/** See the file's header. */
export class Conversations {
  readonly #parking: KvParking | null;
  readonly #slots: Slot[];
  #clock = 0;
  readonly #history: StateHistory | null;
  #liveIds: number[] = [];
  #statesKnown = true;

  /** `snapshots`: null where every cache of the model can be cut back. */
  constructor(parking: KvParking | null, snapshots: StateSnapshots | null = null) {
    this.#parking = parking;
    this.#history = snapshots && new StateHistory(snapshots);
    this.#slots = Array.from({ length: parking?.slotCount ?? 0 }, (_, index) => ({
      index,
      ids: [],
      statesKnown: true,
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

  /** Whether the model has states that cannot be cut back. */
  get hasStates(): boolean {
    return this.#history !== null;
  }

  /**
   * Brings back the conversation that `ids` go on with, if it is parked; yields how many of them the live cache holds, states
   * or not: {@link rewind} says from where on it can be gone on with.
   */
  switchTo(ids: readonly number[]): number {
    const live = this.#reach(this.#live, ids);
    const best = this.#slots
      .map((slot) => ({ slot, reached: this.#reach(slot, ids) }))
      .reduce((a, b) => (b.reached > a.reached ? b : a), { slot: null as Slot | null, reached: 0 });
    if (best.slot && best.reached >= live + WORTH_KEEPING_TOKENS) this.#swap(best.slot);
    else if (this.#reach(this.#live, this.#liveIds) - live >= WORTH_KEEPING_TOKENS) this.#park();
    return commonPrefixLength(this.#liveIds, ids);
  }

  /** A run is to take effect on the live cache; until {@link finishRun} nobody knows what the states have taken up. */
  beginRun(): void {
    this.#statesKnown = false;
  }

  /** The run that was begun last ran these tokens, after all that the live cache held, and no other. */
  finishRun(ids: readonly number[]): void {
    this.append(ids);
    this.#statesKnown = true;
  }

  /** The live cache holds these too, after all that it held. */
  append(ids: readonly number[]): void {
    for (const id of ids) this.#liveIds.push(id);
  }

  /**
   * Cuts the live cache back to at most `length` positions; yields how many it holds then. That is fewer where the model has
   * states that cannot be cut back, and the last copy of them is from before.
   */
  rewind(length: number): number {
    const kept = Math.min(length, this.#liveIds.length);
    if (this.#history === null || (this.#statesKnown && kept === this.#liveIds.length)) this.#liveIds.length = kept;
    else {
      this.#statesKnown = false;
      this.#liveIds.length = this.#history.restore(this.#liveIds, kept);
      this.#statesKnown = true;
    }
    return this.#liveIds.length;
  }

  /** Keeps a copy of states that cannot be cut back, so that {@link rewind} can come back to where they are now. */
  keepStates(): void {
    assert(this.#statesKnown, 'what nobody knows is not kept');
    this.#history?.take(this.#liveIds);
  }

  /** These slots hold nothing any more. */
  forget(slots: readonly number[]): void {
    for (const slot of this.#slots) if (slots.includes(slot.index)) slot.ids = [];
  }

  /** Forgets everything, parked conversations too. */
  clear(): void {
    this.#liveIds = [];
    this.#statesKnown = true; // a run from the first position begins anew
    this.#history?.clear();
    for (const slot of this.#slots) slot.ids = [];
  }

  #swap(slot: Slot): void {
    const isWorthIt = this.#liveIds.length >= WORTH_KEEPING_TOKENS;
    const keeps = isWorthIt && this.#liveIds.length <= this.#roomOf(slot);
    if (isWorthIt && !keeps) this.#park(); // this slot has not grown with the live cache; another one may have
    const { ids, statesKnown } = slot;
    this.#parking?.swap(slot.index, keeps ? this.#liveIds.length : 0, ids.length);
    slot.ids = keeps ? this.#liveIds : [];
    slot.statesKnown = this.#statesKnown;
    slot.usedAt = ++this.#clock;
    this.#liveIds = [...ids];
    this.#statesKnown = statesKnown;
  }

  #park(): void {
    const slot = this.#chooseSlot();
    if (!slot) return;
    this.#parking?.park(slot.index, this.#liveIds.length);
    slot.ids = [...this.#liveIds];
    slot.statesKnown = this.#statesKnown;
    slot.usedAt = ++this.#clock;
  }

  get #live(): Held {
    return { ids: this.#liveIds, statesKnown: this.#statesKnown };
  }

  /** How many of `ids` would not have to run if the live cache held this. */
  #reach(held: Held, ids: readonly number[]): number {
    const shared = commonPrefixLength(held.ids, ids);
    if (this.#history === null || (held.statesKnown && shared === held.ids.length)) return shared;
    return this.#history.reach(ids, shared);
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
