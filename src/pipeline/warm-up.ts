/**
 * Stage 7: one prefill and one decode before the model is called ready.
 *
 * In: a placed decoder. Out: {@link WarmUpResult}. Guarantees: the kernels of both paths are compiled, the logits are
 * finite numbers, and nothing of the warm-up stays in the KV cache.
 */
import { LoadError } from '../contract/errors.ts';
import type { LoadReport } from '../contract/load.ts';
import type { CachedDecoder } from './serve/cached-decoder.ts';

/** Long enough to take the kernels of a prefill, short enough for a slow adapter. */
const PREFILL_TOKENS = 16;

/** Timings of the first prefill and the first decode, ms. */
export type WarmUpResult = LoadReport['warmUp'];

/** @throws LoadError `output_mismatch`, `aborted`, `device_lost`, `out_of_memory`, `runtime_failed` */
export async function warmUp(decoder: CachedDecoder, vocabSize: number, signal: AbortSignal): Promise<WarmUpResult> {
  const prefillTokens = Math.min(PREFILL_TOKENS, decoder.contextTokens - 1);
  // Different ids, spread over the vocabulary, so that a damaged embedding has a chance to show.
  const ids = Array.from({ length: prefillTokens }, (_, index) => (index * 31 + 1) % vocabSize);
  try {
    const startMs = performance.now();
    const prefillLogits = await decoder.logitsFor(ids, signal);
    const prefilledMs = performance.now();
    checkFinite(prefillLogits, vocabSize);
    checkFinite(await decoder.logitsFor([...ids, 0], signal), vocabSize);
    return { prefillTokens, prefillMs: prefilledMs - startMs, decodeMs: performance.now() - prefilledMs };
  } finally {
    decoder.reset();
  }
}

function checkFinite(logits: Float32Array, vocabSize: number): void {
  const bad = logits.findIndex((value) => !Number.isFinite(value));
  if (logits.length === vocabSize && bad < 0) return;
  throw new LoadError('output_mismatch', {
    message:
      bad < 0
        ? `The model gave ${logits.length} logits for a vocabulary of ${vocabSize}.`
        : `Logit ${bad} is ${String(logits[bad])}: the weights hold values that are no numbers, or the driver computes rubbish. Try another dtype or device "wasm".`,
    stage: 'warmUp',
    detail: { logitCount: logits.length, firstBadIndex: bad },
  });
}
