/**
 * Token ids → text, a token at a time.
 *
 * In: ids as they are generated, and a decoder that has read the prompt. Out: for each id the text that it completed. Guarantees: the pieces joined are
 * what decoding the prompt and all ids at once adds to the text of the prompt; nothing is emitted while a later token can
 * change it (an open character), or while it may be the beginning of a stop string; the cost of a token does not grow with the
 * length of the text.
 */
import type { IdDecoder, TextBehind } from '../texts/token-decoder.ts';

/** See the file's header. */
export class TextStream {
  readonly #decoder: IdDecoder;
  readonly #stops: readonly string[];
  #promptRest: string;
  #held = '';
  #stopped = false;

  constructor({ decoder, promptRest }: TextBehind, stops: readonly string[]) {
    this.#decoder = decoder;
    this.#promptRest = promptRest;
    this.#stops = stops.filter((stop) => stop !== '');
  }

  /** Whether a stop string has come. */
  get stopped(): boolean {
    return this.#stopped;
  }

  /** The text that `id` completes; all that was held back if it is the last. */
  push(id: number, isLast: boolean): string {
    if (this.#stopped) return '';
    this.#held += this.#dropPrompt(this.#decoder.push(id));
    return isLast ? this.end() : this.#release(false);
  }

  /** All that was held back; no id may follow. */
  end(): string {
    if (this.#stopped) return '';
    this.#held += this.#dropPrompt(this.#decoder.end());
    return this.#release(true);
  }

  /** Where the prompt ended in an open character, its text turns out different: then all of it belongs to the answer. */
  #dropPrompt(text: string): string {
    const rest = this.#promptRest;
    if (rest === '' || text === '') return text;
    if (rest.length > text.length && rest.startsWith(text)) {
      this.#promptRest = rest.slice(text.length);
      return '';
    }
    this.#promptRest = '';
    return text.startsWith(rest) ? text.slice(rest.length) : text;
  }

  #release(isLast: boolean): string {
    const found = this.#stops.map((stop) => this.#held.indexOf(stop)).filter((index) => index >= 0);
    let end = this.#held.length;
    if (found.length > 0) {
      this.#stopped = true;
      end = found.reduce((first, index) => Math.min(first, index));
    } else if (!isLast) {
      end -= this.#stops.reduce((longest, stop) => Math.max(longest, overlapLength(this.#held, stop)), 0);
    }
    const text = this.#held.slice(0, end);
    this.#held = this.#held.slice(end);
    return text;
  }
}

/** Length of the longest end of `text` that is a beginning of `stop`, but not all of it. */
function overlapLength(text: string, stop: string): number {
  for (let length = Math.min(text.length, stop.length - 1); length > 0; length--) {
    if (text.endsWith(stop.slice(0, length))) return length;
  }
  return 0;
}
