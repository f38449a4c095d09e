/**
 * How much memory intermediate values take, from a model's shape. Pure; an estimate, which a run on the device replaces.
 */
import type { DecoderSpec } from '../../contract/decoder-spec.ts';

/** Longer prefills take more in proportion; this is the length that plans are compared at. */
const PREFILL_TOKENS = 512;

/**
 * Bytes of the values that are alive at once at the widest place of a layer, in a prefill of up to 512 tokens, and the logits.
 * Either the attention's (packed and split q, k and v, and its result) or the feed-forward block's (gate, up, and the two
 * products of the activation) stand beside the residual stream, its sum and its norm; each buffer is given back after its
 * last reader. Fused attention is assumed: one that writes out its scores takes more.
 */
export function estimateActivationBytes(spec: DecoderSpec, contextTokens: number, valueBytes: 2 | 4): number {
  const { hiddenSize, vocabSize } = spec;
  const streamBytes = 3 * hiddenSize * 4; // float32 in every dtype
  const widest = spec.layers.reduce((most, { mixer, feedForward }) => {
    const attention = (3 * mixer.headCount + 4 * mixer.kvHeadCount) * mixer.paddedHeadDim;
    return Math.max(most, attention, 4 * feedForward.size);
  }, 0);
  const tokens = Math.min(contextTokens, PREFILL_TOKENS);
  return tokens * (streamBytes + widest * valueBytes) + vocabSize * 4;
}
