/**
 * What a placed model can do: run tokens at positions, with a KV cache that it keeps.
 *
 * Two implementations: `gpu-decoder.ts` (static cache in GPU buffers) and `wasm-decoder.ts` (growing cache in JavaScript
 * memory). Both run the graph of `blueprints/`.
 */
import type { GpuMemory } from '../contract/memory.ts';

/**
 * A model on its device. Calls must not overlap: the caller queues them. Calls of several models may: the runtime's queue
 * (`ort/sessions.ts`) lets them take turns. A signal ends the wait for a turn, and no run that has begun.
 */
export interface Decoder {
  /** Tokens that the KV cache has room for now. */
  readonly contextTokens: number;
  /**
   * Runs `ids` as positions `[startPosition, startPosition + ids.length)`; the cache must hold all earlier ones, and
   * forgets whatever it held at or after `startPosition`. Where the model has {@link snapshots}, its states must have taken up
   * exactly these earlier ones; at 0 they begin anew.
   * @returns logits of the last position, [vocabSize]
   * @throws LoadError `aborted`, `device_lost`, `out_of_memory`, `runtime_failed`
   */
  run(ids: readonly number[], startPosition: number, signal?: AbortSignal): Promise<Float32Array>;
  /** Decoding that needs no JavaScript between two tokens, where the device has it. */
  readonly tokenLoop?: TokenLoop;
  /** Room for conversations besides the one in the cache. */
  readonly parking?: KvParking;
  /** Where the model has states that cannot be cut back; a run then begins where the states are, or at 0. */
  readonly snapshots?: StateSnapshots;
  /**
   * Makes room for longer sequences, where the device can give more after the load; what the cache and the slots hold stays.
   * The token loop has to be prepared again after it, unless it already was as ready as before (see {@link TokenLoop.ready}).
   * @throws LoadError `device_lost`
   */
  grow?(request: GrowthRequest): Promise<GrowthResult>;
  /** Where it runs on a GPU of its own: resolves with the reason once that is lost, and what lies on it. */
  readonly gpu?: { readonly lost: Promise<string>; readonly memory: () => GpuMemory };
  /** Gives back the session and every buffer, also where the device is lost. */
  release(): Promise<void>;
}

/**
 * Decoding on the device itself: it chooses each token and feeds it back, JavaScript submits ahead and reads ids behind.
 *
 * `prefill`, then `begin`, then `choose` and `advance` in turn. All of them but the ids that `choose` promises are through
 * once they are submitted; the device's queue keeps their order, also against {@link Decoder.run}.
 */
export interface TokenLoop {
  /** Whether it was prepared, and its cache has not been replaced since. */
  readonly ready: boolean;
  /**
   * Compiles, and records one step, whatever the weights hold: for the time while they are on their way. Leaves something at
   * the cache's first position.
   * @throws LoadError `aborted`, `runtime_failed`, `out_of_memory`, `device_lost`
   */
  capture(signal?: AbortSignal): Promise<void>;
  /**
   * Captures, unless that was done, and proves on one step that the device computes what {@link Decoder.run} does: runs `id`
   * at `position`, whose logits are `expected`. Until it has resolved nothing below may be called. The token runs more than
   * once: before each time `rewind` brings states that cannot be cut back to where they were before it.
   * @throws LoadError `runtime_failed`, `output_mismatch`, `out_of_memory`, `device_lost`
   */
  prepare(id: number, position: number, expected: Float32Array, rewind: () => void): Promise<void>;
  /** As {@link Decoder.run}; the logits stay on the device. */
  prefill(ids: readonly number[], startPosition: number, signal?: AbortSignal): Promise<void>;
  /** Begins a sequence. `seenIds` are what the repetition penalty counts. */
  begin(seenIds: readonly number[], rule: ChoiceRule): void;
  /** Chooses a token from the logits of the last run; the id comes when the device has it. */
  choose(step: ChoiceStep): Promise<number>;
  /** Runs the token that was chosen last, at its position. */
  advance(signal?: AbortSignal): Promise<void>;
}

/** What the KV cache is to grow to, and what is worth keeping. */
export interface GrowthRequest {
  /** Numbers of tokens, the best first; the first that there is room for is taken. */
  readonly steps: readonly number[];
  /** Positions that the cache holds. */
  readonly liveTokens: number;
  /** Slots in the order of their worth, and the positions that each holds; the last ones are given up for the cache's sake. */
  readonly slots: readonly { readonly slot: number; readonly tokens: number }[];
}

/** What came of it. */
export interface GrowthResult {
  /** False: there was no room, and everything is as it was, but for the slots below. */
  readonly grown: boolean;
  /** Slots that hold nothing any more; see {@link KvParking.roomOf} for what they have room for. */
  readonly forgotten: readonly number[];
}

/**
 * Copies between the KV cache and the slots of parked conversations. They take effect in the order of calls and runs. States
 * that cannot be cut back go along whole, as they are, whatever number of positions is meant (but none goes with none).
 */
export interface KvParking {
  readonly slotCount: number;
  /** Tokens that a slot has room for; 0 where it was given up. */
  roomOf(slot: number): number;
  /** Copies the cache's first `tokens` positions into a slot. */
  park(slot: number, tokens: number): void;
  /** Exchanges the cache's first `liveTokens` positions with the slot's first `parkedTokens`. */
  swap(slot: number, liveTokens: number, parkedTokens: number): void;
}

/**
 * Copies of the states that cannot be cut back (see `CacheSpec.canRewind`), each as it was at some position. Going back to a
 * position means: restore the last copy that is not beyond it, and run the tokens between again. All of it takes effect in the
 * order of calls and runs.
 */
export interface StateSnapshots {
  readonly slotCount: number;
  /** Keeps the state as it is after the last run. What the slot held before is forgotten. */
  take(slot: number): void;
  /**
   * Goes back to it: the sequence is as long as it was when the slot was taken. The slot keeps its copy. What else the cache
   * holds must be of a sequence that begins with the same tokens.
   */
  restore(slot: number): void;
  /** Goes back to a sequence of no tokens. */
  clear(): void;
}

/** How tokens are chosen; the rules are those of `pipeline/serve/sampling.ts` and of transformers.js. */
export interface ChoiceRule {
  readonly repetitionPenalty: number;
  /** Null for greedy. `topK` 0 and `topP` 1 keep all. */
  readonly sampling: { readonly temperature: number; readonly topK: number; readonly topP: number } | null;
  /** What may not be chosen in steps that `forbid`; at most {@link MAX_FORBIDDEN_IDS}. */
  readonly forbiddenIds: readonly number[];
}

/** One choice. */
export interface ChoiceStep {
  /** Where in the sequence the token will stand. */
  readonly position: number;
  /** A number in [0, 1) that decides a sampled choice. */
  readonly draw: number;
  readonly forbid: boolean;
}

/** How many ids a {@link ChoiceRule} can forbid. */
export const MAX_FORBIDDEN_IDS = 16;
