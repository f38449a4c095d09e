/**
 * What a placed model can do: run tokens at positions, with a KV cache that it keeps.
 *
 * Two implementations: `gpu-decoder.ts` (static cache in GPU buffers) and `wasm-decoder.ts` (growing cache in JavaScript
 * memory). Both run the graph of `blueprints/`, whose inputs and outputs are named here once.
 */
import type { DecoderShape } from '../contract/plan.ts';

/** A model on its device. Calls must not overlap: the caller queues them. */
export interface Decoder {
  /** Tokens that the KV cache can hold. */
  readonly contextTokens: number;
  /**
   * Runs `ids` as positions `[startPosition, startPosition + ids.length)`; the cache must hold all earlier ones, and
   * forgets whatever it held at or after `startPosition`.
   * @returns logits of the last position, [vocabSize]
   * @throws LoadError `device_lost`, `out_of_memory`, `runtime_failed`
   */
  run(ids: readonly number[], startPosition: number): Promise<Float32Array>;
  /** Gives back the session and every buffer. */
  release(): Promise<void>;
}

/** Names of the graph's inputs and outputs other than weights. */
export const GRAPH_IO = {
  inputIds: 'input_ids', // int64 [1, S]
  seqlensK: 'seqlens_k', // int32 [1]: tokens in the cache after this run, minus one
  totalSequenceLength: 'total_sequence_length', // int32 [1]
  logits: 'logits', // float32 [1, V]
  pastKey: (layer: number) => `past_key_values.${layer}.key`, // [1, kvHeads, past, headDim]
  pastValue: (layer: number) => `past_key_values.${layer}.value`,
  presentKey: (layer: number) => `present.${layer}.key`,
  presentValue: (layer: number) => `present.${layer}.value`,
} as const;

/** Past input and present output of every key and value cache, in layer order. */
export function listCacheNames(shape: DecoderShape): { readonly past: string; readonly present: string }[] {
  return Array.from({ length: shape.layerCount }, (_, layer) => [
    { past: GRAPH_IO.pastKey(layer), present: GRAPH_IO.presentKey(layer) },
    { past: GRAPH_IO.pastValue(layer), present: GRAPH_IO.presentValue(layer) },
  ]).flat();
}
