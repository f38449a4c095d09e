/**
 * What comes out of a generation, whatever chose the tokens: text to the caller, and when and why it is over.
 *
 * In: token ids in order. Out: {@link GeneratedToken}s, then a {@link FinishReason}. Guarantees: nothing is emitted after the
 * end; an end token has no text; ids that were computed beyond it are no part of the result.
 */
import type { FinishReason, GeneratedToken } from '../../contract/generate.ts';
import type { GenerateSettings } from './generate-settings.ts';
import type { TextStream } from './text-stream.ts';

/** See the file's header. */
export class GenerationOutput {
  readonly #text: TextStream;
  readonly #settings: GenerateSettings;
  readonly #onToken: (token: GeneratedToken) => void;
  #newTokens = 0;
  #finishReason: FinishReason | null = null;
  #contextNote: string | null = null;

  constructor(text: TextStream, settings: GenerateSettings, onToken: (token: GeneratedToken) => void) {
    this.#text = text;
    this.#settings = settings;
    this.#onToken = onToken;
  }

  get newTokens(): number {
    return this.#newTokens;
  }

  /** Null while it goes on. */
  get finishReason(): FinishReason | null {
    return this.#finishReason;
  }

  /** What {@link endWithNext} was told; null where it was not. */
  get contextNote(): string | null {
    return this.#contextNote;
  }

  /** The next token is the last one, because there is no room for more. */
  endWithNext(contextNote: string): void {
    this.#contextNote = contextNote;
  }

  /** Takes the next token; after the end it does nothing. */
  push(id: number): void {
    if (this.#finishReason !== null) return;
    const { eosIds, maxNewTokens, limitedByContext } = this.#settings;
    this.#newTokens++;
    const isEos = eosIds.has(id);
    const isLong = this.#newTokens === maxNewTokens;
    const isFull = isLong || this.#contextNote !== null;
    // An end token says that the answer is over, and is no part of it, special or not.
    const text = isEos ? this.#text.end() : this.#text.push(id, isFull);
    if (this.#text.stopped) this.#finishReason = 'stop';
    else if (isEos) this.#finishReason = 'eos';
    else if (isFull) this.#finishReason = isLong && !limitedByContext ? 'length' : 'context';
    this.#onToken({ id, text });
  }
}
