/**
 * How much memory intermediate values take, from a model's shape. Pure; an estimate, which a run on the device replaces.
 */
import type { DecoderShape } from '../../contract/plan.ts';

/** Longer prefills take more in proportion; this is the length that plans are compared at. */
const PREFILL_TOKENS = 512;

/**
 * Bytes of the values that are alive at once at the widest place of a layer, in a prefill of up to 512 tokens, and the logits.
 * Either the attention's (packed and split q, k and v, and its result) or the feed-forward block's (gate, up, and the two
 * products of the activation) stand beside the residual stream, its sum and its norm; each buffer is given back after its
 * last reader. Fused attention is assumed: one that writes out its scores takes more.
 */
export function estimateActivationBytes(shape: DecoderShape, contextTokens: number, valueBytes: 2 | 4): number {
  const { hiddenSize, intermediateSize, headCount, kvHeadCount, paddedHeadDim, vocabSize } = shape;
  const streamBytes = 3 * hiddenSize * 4; // float32 in every dtype
  const attention = (3 * headCount + 4 * kvHeadCount) * paddedHeadDim;
  const feedForward = 4 * intermediateSize;
  const tokens = Math.min(contextTokens, PREFILL_TOKENS);
  return tokens * (streamBytes + Math.max(attention, feedForward) * valueBytes) + vocabSize * 4;
}
