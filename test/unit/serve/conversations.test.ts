/**
 * Conversations against a cache that is simply copied: what it is said to hold, it holds.
 */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Conversations } from '../../../src/pipeline/sequences/conversations.ts';
import type { KvParking } from '../../../src/runtime/decoder.ts';

/** Positions of a cache; copies exactly what it is told to, and leaves garbage where nothing was copied. */
class PositionCache implements KvParking {
  readonly slotCount: number;
  /** Of each slot; those that are not named have room for anything. */
  readonly rooms: number[] = [];
  live: number[] = [];
  readonly #slots: number[][];

  constructor(slotCount: number) {
    this.slotCount = slotCount;
    this.#slots = Array.from({ length: slotCount }, () => []);
  }

  roomOf = (slot: number): number => this.rooms[slot] ?? Infinity;

  park(slot: number, tokens: number): void {
    expect(tokens).toBeLessThanOrEqual(this.roomOf(slot));
    this.#slots[slot] = this.live.slice(0, tokens);
  }

  swap(slot: number, liveTokens: number, parkedTokens: number): void {
    expect(liveTokens).toBeLessThanOrEqual(this.roomOf(slot));
    const parked = (this.#slots[slot] ?? []).slice(0, parkedTokens);
    this.#slots[slot] = this.live.slice(0, liveTokens);
    this.live = [...parked, ...this.live.slice(parkedTokens).map(() => NaN)];
  }

  /** As a decoder: keeps what is before `start`, and runs the rest. */
  run(ids: readonly number[], start: number): void {
    this.live = [...this.live.slice(0, start), ...ids.slice(start)];
  }
}

function ask(conversations: Conversations, cache: PositionCache, ids: readonly number[]): number {
  const reused = conversations.switchTo(ids);
  expect(cache.live.slice(0, reused)).toEqual(ids.slice(0, reused));
  expect(conversations.rewind(reused)).toBe(reused);
  cache.run(ids, reused);
  conversations.append(ids.slice(reused));
  expect(cache.live.slice(0, ids.length)).toEqual([...conversations.liveIds]);
  return reused;
}

const sequence = (seed: number, length: number): number[] => Array.from({ length }, (_, index) => seed * 1000 + index);

describe('conversations', () => {
  it('hold what they say, whatever is asked in whatever order', () => {
    // Few beginnings and many lengths, so that prefixes are shared in every way.
    const request = fc.record({
      seed: fc.integer({ min: 0, max: 3 }),
      length: fc.integer({ min: 1, max: 60 }),
      turn: fc.integer({ min: 0, max: 60 }),
      event: fc.option(
        fc.record({ slot: fc.integer({ min: 0, max: 2 }), room: fc.constantFrom(0, 30, 60), forgets: fc.boolean() }),
        { nil: null, freq: 5 },
      ),
    });
    const rooms = fc.array(fc.constantFrom(0, 20, 40, 60), { maxLength: 3 });
    fc.assert(
      fc.property(rooms, fc.array(request, { maxLength: 40 }), (slotRooms, requests) => {
        const cache = new PositionCache(slotRooms.length);
        cache.rooms.push(...slotRooms);
        const conversations = new Conversations(slotRooms.length > 0 ? cache : null);
        for (const { seed, length, turn, event } of requests) {
          if (event) {
            // As where the live cache grows and takes a slot's room, or a slot grows with it.
            cache.rooms[event.slot] = event.room;
            if (event.forgets || event.room < 60) {
              cache.park(event.slot, 0);
              conversations.forget([event.slot]);
            }
          }
          // The same beginning up to `turn`, another one after it.
          ask(conversations, cache, [
            ...sequence(seed, Math.min(turn, length)),
            ...sequence(seed + 10, Math.max(0, length - turn)),
          ]);
        }
      }),
    );
  });

  it('come back at no cost after another one, while there is a slot', () => {
    const cache = new PositionCache(1);
    const conversations = new Conversations(cache);
    expect(ask(conversations, cache, sequence(1, 40))).toBe(0);
    expect(ask(conversations, cache, sequence(2, 30))).toBe(0);
    expect(ask(conversations, cache, sequence(1, 45))).toBe(40);
    expect(ask(conversations, cache, sequence(2, 31))).toBe(30);
  });

  it('make room by least recent use', () => {
    const cache = new PositionCache(2);
    const conversations = new Conversations(cache);
    for (const seed of [1, 2, 3]) ask(conversations, cache, sequence(seed, 40));
    expect(ask(conversations, cache, sequence(1, 41))).toBe(40); // 2 and 3 are parked now
    expect(ask(conversations, cache, sequence(4, 40))).toBe(0); // pushes out 2
    expect(ask(conversations, cache, sequence(3, 41))).toBe(40);
    expect(ask(conversations, cache, sequence(2, 41))).toBe(0);
  });

  it('are not put where they do not fit, but where they do', () => {
    const cache = new PositionCache(2);
    cache.rooms.push(30, 60);
    const conversations = new Conversations(cache);
    ask(conversations, cache, sequence(1, 20));
    ask(conversations, cache, sequence(2, 50)); // parks 1, in the first slot
    expect(conversations.parked).toEqual([
      { slot: 0, tokens: 20 },
      { slot: 1, tokens: 0 },
    ]);
    expect(ask(conversations, cache, sequence(1, 21))).toBe(20); // 2 does not fit where 1 was
    expect(conversations.parked[0]).toEqual({ slot: 1, tokens: 50 });
    expect(ask(conversations, cache, sequence(2, 51))).toBe(50);
    conversations.forget([0, 1]);
    expect(conversations.parked.map(({ tokens }) => tokens)).toEqual([0, 0]);
    cache.rooms[1] = 0;
    expect(conversations.parked).toHaveLength(1);
  });

  it('are not pushed out by other answers to the same prompt', () => {
    const cache = new PositionCache(2);
    const conversations = new Conversations(cache);
    ask(conversations, cache, sequence(9, 40));
    for (const answer of [1, 2, 3, 4]) ask(conversations, cache, [...sequence(5, 40), ...sequence(answer, 20)]);
    expect(ask(conversations, cache, sequence(9, 41))).toBe(40);
  });
});
