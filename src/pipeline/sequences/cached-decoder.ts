/**
 * A decoder that remembers which tokens its KV cache holds and runs only what is new.
 *
 * In: whole sequences. Out: logits of their last position. Guarantees: the longest common prefix with the cache is never
 * computed again (a conversation's next turn pays for its tail only, also after another conversation where the decoder has room
 * to park one); after a failed or aborted run the cache holds exactly what was finished; long prompts run in chunks, between
 * which an abort takes effect; a model whose states cannot be cut back goes on from a copy of them, and such a copy is taken
 * before the last token of every prompt; a cache that is too short grows where the device has room, and computes after that what it would
 * have computed had it been longer from the beginning.
 */
import { throwIfAborted, yieldToEvents } from '../../base/abort.ts';
import { assert } from '../../base/assert.ts';
import { isLoadError, LoadError } from '../../contract/errors.ts';
import type { Decoder, TokenLoop } from '../../runtime/decoder.ts';
import { listSteps } from './context-steps.ts';
import { Conversations } from './conversations.ts';

/** Bounds the activations of a prefill and the time until an abort is noticed. */
export const PREFILL_CHUNK_TOKENS = 512;

/** What is known of a decoder besides itself. */
export interface CachedDecoderOptions {
  /** How many tokens of a prompt run at once; what profiling found to fit. */
  readonly chunkTokens?: number | undefined;
  /** What the cache may grow to; left out, it does not grow. */
  readonly maxContextTokens?: number;
  /** What another load might ask for: see {@link LoadPlan.longestContextTokens}. */
  readonly longestContextTokens?: number;
}

/** See the file's header. */
export class CachedDecoder {
  readonly #decoder: Decoder;
  readonly #conversations: Conversations;
  readonly #chunkTokens: number;
  readonly #longestContextTokens: number;
  /** Tokens that the cache may come to hold. */
  readonly maxContextTokens: number;
  #reusedTokens = 0;
  #tokenLoop: TokenLoop | null = null;
  #tokenLoopObstacle = 'this device has no token loop';

  constructor(decoder: Decoder, options: CachedDecoderOptions = {}) {
    this.#decoder = decoder;
    this.#chunkTokens = options.chunkTokens ?? PREFILL_CHUNK_TOKENS;
    this.maxContextTokens = options.maxContextTokens ?? decoder.contextTokens;
    this.#longestContextTokens = options.longestContextTokens ?? this.maxContextTokens;
    this.#conversations = new Conversations(decoder.parking ?? null, decoder.snapshots ?? null);
  }

  /** Tokens that the cache has room for now. */
  get contextTokens(): number {
    return this.#decoder.contextTokens;
  }

  /** How many conversations keep their keys and values, the running one included. */
  get conversationCount(): number {
    return 1 + this.#conversations.parked.length;
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

  /** Why there is no token loop; null where there is one. */
  get tokenLoopObstacle(): string | null {
    return this.#tokenLoop === null ? this.#tokenLoopObstacle : null;
  }

  /**
   * Makes the token loop ready, given the logits of the last run. Yields null, or a sentence that says why there will be
   * none, which takes nothing but speed.
   * @throws LoadError `device_lost`
   */
  async prepareTokenLoop(logits: Float32Array): Promise<string | null> {
    const ids = [...this.#conversations.liveIds];
    const position = ids.length - 1;
    const id = ids[position];
    if (id === undefined || !this.#decoder.tokenLoop) return null;
    await this.#runUpTo(ids, position);
    return this.#proveTokenLoop(id, position, logits);
  }

  /** Lets the cache hold the first `length` of `ids`, with which it begins, and keeps a copy of the states that are there then. */
  async #runUpTo(ids: readonly number[], length: number): Promise<void> {
    let position = this.#conversations.rewind(length);
    while (position < length) {
      const chunk = ids.slice(position, Math.min(length, position + this.#chunkTokens));
      this.#conversations.beginRun();
      await this.#decoder.run(chunk, position);
      this.#conversations.finishRun(chunk);
      position += chunk.length;
    }
    this.#conversations.keepStates();
  }

  async #proveTokenLoop(id: number, position: number, logits: Float32Array): Promise<string | null> {
    const loop = this.#decoder.tokenLoop;
    const wasReady = this.#tokenLoop !== null;
    this.#tokenLoop = null;
    if (!loop) return null;
    try {
      await loop.prepare(id, position, logits, () => {
        const length = this.#conversations.rewind(position);
        assert(length === position, 'there is a copy of the states before the token that is run again');
        this.#conversations.beginRun();
      });
      this.#conversations.finishRun([id]);
      this.#tokenLoop = loop;
      return null;
    } catch (error) {
      if (isLoadError(error) && error.code === 'device_lost') throw error;
      // Memory that another step had before says nothing about what the device can do.
      if (wasReady && isLoadError(error) && error.code === 'out_of_memory') throw error;
      const reason = error instanceof Error ? error.message : String(error);
      this.#tokenLoopObstacle = wasReady
        ? `the decode step, recorded anew after the KV cache had grown, failed its proof: ${reason}`
        : `this device could not do it: ${reason}`;
      this.#conversations.rewind(0); // a step that went wrong may have written anywhere in the live cache
      return `Tokens are chosen in JavaScript, because ${this.#tokenLoopObstacle}`;
    }
  }

  /**
   * Makes room for `ids` and so many tokens after them, by growing the cache where it has to. Yields null where there is room,
   * else a sentence that says why there is none; everything is then as it was. An abort takes effect before and after.
   * @throws LoadError `aborted`, `device_lost`, and what {@link Decoder.run} throws
   */
  async makeRoom(ids: readonly number[], moreTokens: number, signal: AbortSignal): Promise<string | null> {
    const neededTokens = ids.length + moreTokens;
    if (neededTokens <= this.contextTokens) return null;
    const steps = listSteps(this.contextTokens, neededTokens, this.maxContextTokens);
    if (!this.#decoder.grow || steps.length === 0) return this.explainCeiling();
    throwIfAborted(signal);
    const start = this.#seek(ids);
    let grown: boolean;
    try {
      const slots = this.#conversations.parked;
      const result = await this.#decoder.grow({ steps, liveTokens: start, slots });
      grown = result.grown;
      this.#conversations.forget(result.forgotten);
      await this.#proveTokenLoopAgain(ids, start);
    } catch (error) {
      this.reset(); // nobody knows what was copied
      throw error;
    }
    throwIfAborted(signal);
    return grown ? null : this.#explainRefusal();
  }

  /** Why no sequence can be longer than {@link maxContextTokens}, and what would help. */
  explainCeiling(): string {
    const advice =
      this.#longestContextTokens > this.maxContextTokens
        ? `load with a larger contextTokens (up to ${this.#longestContextTokens}) for more`
        : 'this model can have no more on this device';
    return `The context holds at most ${this.maxContextTokens} tokens, prompt and answer together; ${advice}.`;
  }

  #explainRefusal(): string {
    return (
      `The context holds ${this.contextTokens} tokens, prompt and answer together, and the GPU has no room now to let it grow ` +
      `(to at most ${this.maxContextTokens}); close other pages that use the GPU, or load with a smaller dtype or with fewer ` +
      'conversations.'
    );
  }

  /**
   * The cache was replaced, and the recorded step with it. It is proved on a token that is about to run anyway, at its place,
   * which is written over then: no trace of it stays.
   */
  async #proveTokenLoopAgain(ids: readonly number[], start: number): Promise<void> {
    if (this.#tokenLoop === null || this.#tokenLoop.ready) return;
    const position = Math.min(start, this.contextTokens - 1);
    await this.#runUpTo(ids, position);
    const id = ids[position];
    assert(id !== undefined, 'the last token always runs');
    this.#conversations.beginRun();
    const logits = await this.#decoder.run([id], position);
    await this.#proveTokenLoop(id, position, logits);
    this.#conversations.rewind(position);
  }

  /**
   * Logits [vocabSize] of the last position of `ids`.
   * @throws LoadError `context_exceeded`, `aborted`, and what {@link Decoder.run} throws
   */
  async logitsFor(ids: readonly number[], signal: AbortSignal): Promise<Float32Array> {
    let logits: Float32Array | undefined;
    await this.#runTail(ids, signal, async (chunk, position) => {
      logits = await this.#decoder.run(chunk, position, signal);
    });
    assert(logits, 'the last token always runs');
    return logits;
  }

  /** As {@link logitsFor}, but the logits stay on the device, where the token loop takes them from. */
  async prefillFor(ids: readonly number[], signal: AbortSignal): Promise<void> {
    const loop = this.#tokenLoop;
    assert(loop, 'there is no token loop');
    await this.#runTail(ids, signal, (chunk, position) => loop.prefill(chunk, position, signal));
  }

  /** The token loop ran these tokens, after all that the cache held; and, if `ranMore`, others that nobody knows. */
  append(ids: readonly number[], ranMore = false): void {
    this.#conversations.append(ids);
    if (ranMore) this.#conversations.beginRun();
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

  /** Brings back what there is of a sequence, and forgets what follows; yields from where on it has to run. */
  #seek(ids: readonly number[]): number {
    // The last token always runs: its logits are what is asked for, and the cache keeps none.
    return this.#conversations.rewind(Math.min(this.#conversations.switchTo(ids), ids.length - 1));
  }

  /** Runs, in chunks, what the cache does not hold yet. */
  async #runTail(
    ids: readonly number[],
    signal: AbortSignal,
    run: (chunk: readonly number[], position: number) => Promise<void>,
  ): Promise<void> {
    if (ids.length === 0) throw new LoadError('invalid_argument', { message: 'A prompt needs at least one token.' });
    const obstacle = await this.makeRoom(ids, 0, signal);
    if (obstacle !== null) throw this.contextExceeded(ids.length, obstacle);
    const start = this.#seek(ids);
    this.#reusedTokens = start;
    const last = ids.length - 1;
    for (let position = start; position < ids.length;) {
      await yieldToEvents();
      throwIfAborted(signal);
      // Before the last token there is a moment at which states can be kept: another answer to the same prompt begins there.
      const keepsStates = this.#conversations.hasStates && position < last;
      const chunk = ids.slice(position, Math.min(position + this.#chunkTokens, keepsStates ? last : ids.length));
      this.#conversations.beginRun();
      await run(chunk, position);
      this.#conversations.finishRun(chunk);
      position += chunk.length;
      if (keepsStates && position === last) this.#conversations.keepStates();
    }
  }

  /** The error for a sequence that there is no room for; `obstacle` is what {@link makeRoom} yielded. */
  contextExceeded(promptTokens: number, obstacle: string): LoadError {
    return new LoadError('context_exceeded', {
      message: `It has ${promptTokens} tokens. ${obstacle} Or shorten the prompt.`,
      stage: 'serve',
      detail: { promptTokens, contextTokens: this.contextTokens, maxContextTokens: this.maxContextTokens },
    });
  }
}
