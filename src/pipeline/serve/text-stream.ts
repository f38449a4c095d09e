/**
 * Token ids → text, a token at a time.
 *
 * In: ids as they are generated, and a decode function. Out: for each id the text that it completed. Guarantees: the pieces
 * joined are what decoding all ids at once gives; nothing is emitted while a character is still open (byte-level tokens) or
 * while the text may be the beginning of a stop string; the cost of a token does not grow with the length of the text.
 */

/** Ids before the prompt's end that give the first new token its context (a leading space is decoded away at the start). */
const CONTEXT_IDS = 6;

/** What tokenizers write for bytes that are no whole character yet. */
const OPEN_CHARACTER = '\uFFFD';

/** See the file's header. */
export class TextStream {
  readonly #decode: (ids: number[]) => string;
  readonly #stops: readonly string[];
  /** Ids of the window: those before `#readCount` have been turned into text. */
  #window: number[];
  #readCount: number;
  #held = '';
  #stopped = false;

  constructor(decode: (ids: number[]) => string, promptIds: readonly number[], stops: readonly string[]) {
    this.#decode = decode;
    this.#stops = stops.filter((stop) => stop !== '');
    this.#window = promptIds.slice(-CONTEXT_IDS);
    this.#readCount = this.#window.length;
  }

  /** Whether a stop string has come. */
  get stopped(): boolean {
    return this.#stopped;
  }

  /** The text that `id` completes; all that was held back if it is the last. */
  push(id: number, isLast: boolean): string {
    if (this.#stopped) return '';
    this.#window.push(id);
    const before = this.#decodeWindow(this.#readCount);
    const after = this.#decodeWindow(this.#window.length);
    if (isLast || !after.endsWith(OPEN_CHARACTER)) {
      this.#held += after.slice(before.length);
      this.#window = this.#window.slice(this.#readCount);
      this.#readCount = this.#window.length;
    }
    return this.#release(isLast);
  }

  #decodeWindow(count: number): string {
    return count === 0 ? '' : this.#decode(this.#window.slice(0, count));
  }

  #release(isLast: boolean): string {
    const found = this.#stops.map((stop) => this.#held.indexOf(stop)).filter((index) => index >= 0);
    let end = this.#held.length;
    if (found.length > 0) {
      this.#stopped = true;
      end = Math.min(...found);
    } else if (!isLast) {
      end -= Math.max(0, ...this.#stops.map((stop) => overlapLength(this.#held, stop)));
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
