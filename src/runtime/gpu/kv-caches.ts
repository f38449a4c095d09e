/**
 * The KV caches on the GPU: a buffer for each layer's keys and one for its values, once for the conversation that runs and once
 * for each that is parked.
 *
 * Layout: [1, kvHeads, tokens, paddedHeadDim]. Guarantees: each buffer knows its own length, so that caches may be copied into each
 * other while some have grown and others have not.
 */
import type { LoadPlan } from '../../contract/plan.ts';
import { listCacheNames } from '../decoder.ts';
import { alignSize, bufferUsage } from './allocation.ts';
import type { MemoryLedger } from './memory-ledger.ts';

/** One layer's keys or values. */
export interface KvBuffer {
  readonly buffer: GPUBuffer;
  /** Positions of each head that it has room for. */
  readonly tokens: number;
}

/** By the name of the past input, e.g. `past_key_values.0.key`. */
export type KvCaches = Map<string, KvBuffer>;

/** All that a model keeps of its conversations; growing replaces what is in it. */
export interface KvStore {
  readonly live: KvCaches;
  /** By slot; a slot that was given up has no buffers. */
  readonly slots: KvCaches[];
  /** Room for one layer's keys while conversations are exchanged; null where none are parked. */
  spare: KvBuffer | null;
}

type CachePlan = Pick<LoadPlan, 'shape' | 'contextTokens' | 'kvType'>;

/** Creates one conversation's buffers, under whatever error scope there is; those that could be created are in `caches`. */
export function createCaches(plan: CachePlan, ledger: MemoryLedger, caches: KvCaches): void {
  for (const { past } of listCacheNames(plan.shape)) caches.set(past, createCache(plan, ledger, past));
}

/** Creates one buffer as long as the plan's context. */
export function createCache(plan: CachePlan, ledger: MemoryLedger, label: string): KvBuffer {
  const size = alignSize(kvBufferBytes(plan));
  return { buffer: ledger.createBuffer('kvCache', { label, size, usage: bufferUsage() }), tokens: plan.contextTokens };
}

/** As {@link createCache}, booked under what is not a conversation's. */
export function createSpare(plan: CachePlan, ledger: MemoryLedger): KvBuffer {
  const size = alignSize(kvBufferBytes(plan));
  const label = 'swap of conversations';
  return { buffer: ledger.createBuffer('staging', { label, size, usage: bufferUsage() }), tokens: plan.contextTokens };
}

/** Bytes of one layer's keys (or values): [1, kvHeads, contextTokens, paddedHeadDim]. */
export function kvBufferBytes(plan: CachePlan): number {
  return plan.shape.kvHeadCount * plan.contextTokens * positionBytes(plan);
}

/** Tokens that all buffers of a conversation have room for; 0 where it has none. */
export function countRoom(caches: KvCaches | undefined): number {
  return !caches || caches.size === 0 ? 0 : Math.min(...[...caches.values()].map(({ tokens }) => tokens));
}

/** Encodes the copy of the first `tokens` positions of every head. */
export function copyHeads(
  plan: CachePlan,
  encoder: GPUCommandEncoder,
  from: KvBuffer,
  to: KvBuffer,
  tokens: number,
): void {
  const position = positionBytes(plan);
  for (let head = 0; head < plan.shape.kvHeadCount && tokens > 0; head++) {
    const [source, target] = [head * from.tokens * position, head * to.tokens * position];
    encoder.copyBufferToBuffer(from.buffer, source, to.buffer, target, tokens * position);
  }
}

/** Gives all of it back. */
export function destroyStore({ live, slots, spare }: KvStore): void {
  for (const caches of [live, ...slots]) destroyCaches(caches);
  spare?.buffer.destroy();
}

/** Gives one conversation's buffers back. */
export function destroyCaches(caches: KvCaches): void {
  for (const { buffer } of caches.values()) buffer.destroy();
  caches.clear();
}

/** Bytes of one head's values at one position. */
function positionBytes({ shape, kvType }: CachePlan): number {
  return shape.paddedHeadDim * (kvType === 'float16' ? 2 : 4);
}
