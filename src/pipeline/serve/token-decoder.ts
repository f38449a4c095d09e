/**
 * Token ids → text, as Hugging Face's `tokenizers` decodes them.
 *
 * In: tokenizer.json, and its vocabulary. Out: {@link TokenDecoder}. Guarantees: the text of a list of ids is what
 * `tokenizers` makes of it, and no clean-up of spaces comes after that; what an {@link IdDecoder} gives, joined, is that text to
 * the letter; an id that the tokenizer does not know has no text.
 */
import { compileDecoder } from './decode-steps.ts';
import type { TokenJoiner } from './decode-steps.ts';

/** Takes ids, gives text as soon as no later id can change it. `end` gives what had to wait; nothing may follow it. */
export interface IdDecoder {
  push(id: number): string;
  end(): string;
}

/** What a tokenizer knows of its tokens. */
export interface Vocabulary {
  /** The token with this id; undefined where there is none. */
  readonly tokenOf: (id: number) => string | undefined;
  /** Tokens that are left out of the text unless they are asked for. */
  readonly specialTokens: ReadonlySet<string>;
}

/** See the file's header. */
export class TokenDecoder {
  readonly #vocabulary: Vocabulary;
  readonly #begin: () => TokenJoiner;

  /** `decoder` is that of tokenizer.json. @throws LoadError `tokenizer_invalid` for a decoder of an unknown kind */
  constructor(decoder: unknown, vocabulary: Vocabulary) {
    this.#begin = compileDecoder(decoder);
    this.#vocabulary = vocabulary;
  }

  /** Begins a text. */
  open(keepSpecialTokens: boolean): IdDecoder {
    const { tokenOf, specialTokens } = this.#vocabulary;
    const joiner = this.#begin();
    return {
      push: (id) => {
        const token = tokenOf(id);
        if (token === undefined || (!keepSpecialTokens && specialTokens.has(token))) return '';
        return joiner.push(token);
      },
      end: () => joiner.end(),
    };
  }

  /** The text of all ids. */
  decode(ids: readonly number[], keepSpecialTokens: boolean): string {
    const text = this.open(keepSpecialTokens);
    return ids.map((id) => text.push(id)).join('') + text.end();
  }
}
