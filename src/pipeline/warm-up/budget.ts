/**
 * What is left for conversations once the activations were measured, and how long a prompt's chunks may be. Pure.
 *
 * In: a plan, whose bytes the device was found to hold, and the measured peak. Out: {@link Budget}.
 */
import type { LoadPlan } from '../../contract/plan.ts';
import { PREFILL_CHUNK_TOKENS } from '../sequences/cached-decoder.ts';

/** See the file's header. */
export interface Budget {
  /** Tokens of a prompt that run at once, so that their activations stay within what was reserved for them. */
  readonly chunkTokens: number;
  /** What the device was found to hold, less the weights, less the measured activations and a margin. */
  readonly kvBytes: number;
  readonly kvTokens: number;
}

/** Share of the activations by which a run may take more than the measured one: other lengths fall into other size classes. */
const MARGIN = 0.1;

/** Chunks are multiples of this, as the kernels' tiles are. */
const CHUNK_STEP_TOKENS = 32;

/** `parkedCaches`: how many conversations besides the live one got their room. */
export function makeBudget(
  { costs, contextTokens }: Pick<LoadPlan, 'costs' | 'contextTokens'>,
  parkedCaches: number,
  activationBytes: number,
): Budget {
  const most = Math.min(PREFILL_CHUNK_TOKENS, contextTokens);
  const fitting = Math.floor(((costs.activationBytes / (activationBytes * (1 + MARGIN))) * most) / CHUNK_STEP_TOKENS);
  const chunkTokens = Math.min(most, Math.max(1, fitting) * CHUNK_STEP_TOKENS);
  const besideWeightsBytes = costs.kvCacheBytes * (1 + parkedCaches) + costs.activationBytes;
  const neededBytes = Math.ceil((activationBytes / most) * chunkTokens * (1 + MARGIN));
  const kvBytes = Math.max(0, besideWeightsBytes - neededBytes);
  return { chunkTokens, kvBytes, kvTokens: Math.floor(kvBytes / costs.kvBytesPerToken) };
}
