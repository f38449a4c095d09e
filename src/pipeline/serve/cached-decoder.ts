/**
 * A decoder that remembers which tokens its KV cache holds and runs only what is new.
 *
 * In: whole sequences. Out: logits of their last position. Guarantees: the longest common prefix with the cache is never
 * computed again (a conversation's next turn pays for its tail only, also after another conversation where the decoder has room
 * to park one); after a failed or aborted run the cache holds exactly
 * what was finished; long prompts run in chunks, between which an abort takes effect.
 */
import { throwIfAborted, yieldToEvents } from '../../base/abort.ts';
import { assert } from '../../base/assert.ts';
import { isLoadError, LoadError } from '../../contract/errors.ts';
import type { Decoder, TokenLoop } from '../../runtime/decoder.ts';
import { Conversations } from './conversations.ts';

/** Bounds the activations of a prefill and the time until an abort is noticed. */
export const PREFILL_CHUNK_TOKENS = 512;

/** See the file's header. */
export class CachedDecoder {
  readonly #decoder: Decoder;
  readonly #conversations: Conversations;
  readonly #chunkTokens: number;
  #reusedTokens = 0;
  #tokenLoop: TokenLoop | null = null;

  /** `chunkTokens`: how many tokens of a prompt run at once; what profiling found to fit. */
  constructor(decoder: Decoder, chunkTokens = PREFILL_CHUNK_TOKENS) {
    this.#decoder = decoder;
    this.#chunkTokens = chunkTokens;
    this.#conversations = new Conversations(decoder.parking ?? null);
  }

  get contextTokens(): number {
    return this.#decoder.contextTokens;
  }

  /** How many tokens of the last sequence were in the cache already. */
  get reusedTokens(): number {
    return this.#reusedTokens;
  }

  /** See {@link Decoder.gpu}; null where it runs on the CPU. */
  get gpu(): Decoder['gpu'] | null {
    return this.#decoder.gpu ?? null;
  }

  /** Decoding without JavaScript between two tokens; null where the device has none, or it failed its proof. */
  get tokenLoop(): TokenLoop | null {
    return this.#tokenLoop;
  }

  /**
   * Makes the token loop ready, given the logits of the last run. Yields null, or a sentence that says why there will be
   * none, which takes nothing but speed.
   * @throws LoadError `device_lost`
   */
  async prepareTokenLoop(logits: Float32Array): Promise<string | null> {
    const loop = this.#decoder.tokenLoop;
    const position = this.#conversations.liveIds.length - 1;
    const id = this.#conversations.liveIds[position];
    if (!loop || id === undefined) return null;
    try {
      await loop.prepare(id, position, logits);
      this.#tokenLoop = loop;
      return null;
    } catch (error) {
      if (isLoadError(error) && error.code === 'device_lost') throw error;
      const reason = error instanceof Error ? error.message : String(error);
      return `Tokens are chosen in JavaScript, because this device could not do it: ${reason}`;
    }
  }

  /**
   * Logits [vocabSize] of the last position of `ids`.
   * @throws LoadError `context_exceeded`, `aborted`, and what {@link Decoder.run} throws
   */
  async logitsFor(ids: readonly number[], signal: AbortSignal): Promise<Float32Array> {
    let logits: Float32Array | undefined;
    await this.#runTail(ids, signal, async (chunk, position) => {
      logits = await this.#decoder.run(chunk, position);
    });
    assert(logits, 'the last token always runs');
    return logits;
  }

  /** As {@link logitsFor}, but the logits stay on the device, where the token loop takes them from. */
  async prefillFor(ids: readonly number[], signal: AbortSignal): Promise<void> {
    const loop = this.#tokenLoop;
    assert(loop, 'there is no token loop');
    await this.#runTail(ids, signal, (chunk, position) => loop.prefill(chunk, position));
  }

  /** The token loop ran these tokens, after all that the cache held. */
  append(ids: readonly number[]): void {
    this.#conversations.append(ids);
  }

  /** Forgets everything that the cache holds, parked conversations too. */
  reset(): void {
    this.#conversations.clear();
  }

  release(): Promise<void> {
    this.reset();
    this.#tokenLoop = null;
    return this.#decoder.release();
  }

  /** Runs, in chunks, what the cache does not hold yet. */
  async #runTail(
    ids: readonly number[],
    signal: AbortSignal,
    run: (chunk: readonly number[], position: number) => Promise<void>,
  ): Promise<void> {
    if (ids.length === 0) throw new LoadError('invalid_argument', { message: 'A prompt needs at least one token.' });
    if (ids.length > this.contextTokens) throw contextExceeded(ids.length, this.contextTokens);
    // The last token always runs: its logits are what is asked for, and the cache keeps none.
    const start = Math.min(this.#conversations.switchTo(ids), ids.length - 1);
    this.#reusedTokens = start;
    this.#conversations.truncate(start);
    for (let position = start; position < ids.length; position += this.#chunkTokens) {
      await yieldToEvents();
      throwIfAborted(signal);
      const chunk = ids.slice(position, position + this.#chunkTokens);
      await run(chunk, position);
      this.append(chunk);
    }
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
