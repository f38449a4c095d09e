/**
 * A decoder that remembers which tokens its KV cache holds and runs only what is new.
 *
 * In: whole sequences. Out: logits of their last position. Guarantees: the longest common prefix with the cache is never
 * computed again (a conversation's next turn pays for its tail only); after a failed or aborted run the cache holds exactly
 * what was finished; long prompts run in chunks, between which an abort takes effect.
 */
import { throwIfAborted } from '../../base/abort.ts';
import { LoadError } from '../../contract/errors.ts';
import type { Decoder } from '../../runtime/decoder.ts';

/** Bounds the activations of a prefill and the time until an abort is noticed. */
const PREFILL_CHUNK_TOKENS = 512;

/** See the file's header. */
export class CachedDecoder {
  readonly #decoder: Decoder;
  #cachedIds: number[] = [];
  #reusedTokens = 0;

  constructor(decoder: Decoder) {
    this.#decoder = decoder;
  }

  get contextTokens(): number {
    return this.#decoder.contextTokens;
  }

  /** How many tokens of the last sequence were in the cache already. */
  get reusedTokens(): number {
    return this.#reusedTokens;
  }

  /**
   * Logits [vocabSize] of the last position of `ids`.
   * @throws LoadError `context_exceeded`, `aborted`, and what {@link Decoder.run} throws
   */
  async logitsFor(ids: readonly number[], signal: AbortSignal): Promise<Float32Array> {
    if (ids.length > this.contextTokens) throw contextExceeded(ids.length, this.contextTokens);
    // The last token always runs: its logits are what is asked for, and the cache keeps none.
    const start = Math.min(commonPrefixLength(this.#cachedIds, ids), ids.length - 1);
    this.#reusedTokens = start;
    this.#cachedIds.length = start;
    let logits: Float32Array | undefined;
    for (let position = start; position < ids.length; position += PREFILL_CHUNK_TOKENS) {
      throwIfAborted(signal);
      const chunk = ids.slice(position, position + PREFILL_CHUNK_TOKENS);
      logits = await this.#decoder.run(chunk, position);
      for (const id of chunk) this.#cachedIds.push(id);
    }
    if (!logits) throw new LoadError('invalid_argument', { message: 'A prompt needs at least one token.' });
    return logits;
  }

  /** Forgets everything that the cache holds. */
  reset(): void {
    this.#cachedIds = [];
  }

  release(): Promise<void> {
    this.reset();
    return this.#decoder.release();
  }
}

/** The error for a sequence that the KV cache cannot hold. */
export function contextExceeded(promptTokens: number, contextTokens: number): LoadError {
  return new LoadError('context_exceeded', {
    message: `It has ${promptTokens} tokens, and the context holds ${contextTokens}. Shorten it, or load with a larger contextTokens.`,
    stage: 'serve',
    detail: { promptTokens, contextTokens },
  });
}

function commonPrefixLength(a: readonly number[], b: readonly number[]): number {
  const limit = Math.min(a.length, b.length);
  let length = 0;
  while (length < limit && a[length] === b[length]) length++;
  return length;
}
