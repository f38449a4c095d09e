/**
 * The KV caches on the GPU: a buffer for each layer's keys and one for its values, once for the conversation that runs and once
 * for each that is parked.
 *
 * Layout: [1, kvHeads, tokens, paddedHeadDim]. Guarantees: each buffer knows its own length, so that caches may be copied into each
 * other while some have grown and others have not.
 */
import { countCacheBytes, growsWithTokens, largestCacheBytes, listCopies } from '../../base/cache-layout.ts';
import type { CacheSpec } from '../../contract/caches.ts';
import type { LoadPlan } from '../../contract/plan.ts';
import { alignSize, bufferUsage } from './allocation.ts';
import type { MemoryLedger } from './memory-ledger.ts';

/** One tensor of what the model keeps, e.g. a layer's keys. */
export interface KvBuffer {
  readonly spec: CacheSpec;
  readonly buffer: GPUBuffer;
  /** Positions that it has room for; no end of them for a state of fixed size. */
  readonly tokens: number;
}

/** Holds the beginning of any cache for a moment. */
export type SpareBuffer = Pick<KvBuffer, 'buffer' | 'tokens'>;

/** By the name of the past input, e.g. `past_key_values.0.key`. */
export type KvCaches = Map<string, KvBuffer>;

/** All that a model keeps of its conversations; growing replaces what is in it. */
export interface KvStore {
  readonly live: KvCaches;
  /** By slot; a slot that was given up has no buffers. */
  readonly slots: KvCaches[];
  /** By slot: copies of the states that cannot be cut back, and of nothing else. None where every cache can be. */
  readonly snapshots: KvCaches[];
  /** Room for the largest cache while conversations are exchanged; null where none are parked. */
  spare: SpareBuffer | null;
}

/** What the buffers of a plan follow from. */
type CachePlan = Pick<LoadPlan, 'caches' | 'contextTokens'>;

/** Creates one conversation's buffers, under whatever error scope there is; those that could be created are in `caches`. */
export function createCaches(
  { caches: specs, contextTokens }: CachePlan,
  ledger: MemoryLedger,
  caches: KvCaches,
): void {
  for (const spec of specs) caches.set(spec.past, createCache(spec, contextTokens, ledger));
}

/** Creates one buffer with room for so many tokens. */
export function createCache(spec: CacheSpec, tokens: number, ledger: MemoryLedger): KvBuffer {
  const size = alignSize(countCacheBytes(spec, tokens));
  return {
    spec,
    buffer: ledger.createBuffer('kvCache', { label: spec.past, size, usage: bufferUsage() }),
    tokens: growsWithTokens(spec) ? tokens : Infinity,
  };
}

/** Room for the largest of the caches, booked under what is not a conversation's. */
export function createSpare({ caches, contextTokens }: CachePlan, ledger: MemoryLedger): SpareBuffer {
  const size = alignSize(largestCacheBytes(caches, contextTokens));
  const label = 'swap of conversations';
  return { buffer: ledger.createBuffer('staging', { label, size, usage: bufferUsage() }), tokens: contextTokens };
}

/** Tokens that all buffers of a conversation have room for; 0 where it has none. */
export function countRoom(caches: KvCaches | undefined): number {
  return !caches || caches.size === 0 ? 0 : Math.min(...[...caches.values()].map(({ tokens }) => tokens));
}

/** WebGPU copies multiples of so many bytes. */
const COPY_ALIGNMENT_BYTES = 4;

/**
 * Encodes the copy of the first `tokens` positions; of a state of fixed size, of all of it, which may end in half a word: then
 * what fills up both buffers is copied too.
 */
export function copyPositions(
  spec: CacheSpec,
  encoder: GPUCommandEncoder,
  from: SpareBuffer,
  to: SpareBuffer,
  tokens: number,
): void {
  for (const copy of listCopies(spec, from.tokens, to.tokens, tokens)) {
    const sizeBytes = Math.ceil(copy.sizeBytes / COPY_ALIGNMENT_BYTES) * COPY_ALIGNMENT_BYTES;
    encoder.copyBufferToBuffer(from.buffer, copy.from, to.buffer, copy.to, sizeBytes);
  }
}

/** Gives all of it back. */
export function destroyStore({ live, slots, snapshots, spare }: KvStore): void {
  for (const caches of [live, ...slots, ...snapshots]) destroyCaches(caches);
  spare?.buffer.destroy();
}

/** Gives one conversation's buffers back. */
export function destroyCaches(caches: KvCaches): void {
  for (const { buffer } of caches.values()) buffer.destroy();
  caches.clear();
}
