/**
 * Token ids → text, as Hugging Face's `tokenizers` decodes them.
 *
 * In: tokenizer.json, and its vocabulary. Out: {@link TokenDecoder}. Guarantees: the text of a list of ids is what
 * `tokenizers` makes of it, and no clean-up of spaces comes after that; what an {@link IdDecoder} gives, joined, is that text to
 * the letter; an id that the tokenizer does not know has no text.
 */
import { compileDecoder, isByteToken } from './decode-steps.ts';
import type { TokenJoiner } from './decode-steps.ts';

/** Takes ids, gives text as soon as no later id can change it. `end` gives what had to wait; nothing may follow it. */
export interface IdDecoder {
  push(id: number): string;
  end(): string;
}

/** A text that goes on behind a prompt. */
export interface TextBehind {
  /** Has read the prompt. */
  readonly decoder: IdDecoder;
  /** Text of the prompt that the decoder still holds back; it is no part of the answer. */
  readonly promptRest: string;
}

/** As many tokens with a text before an answer say all that matters: whether it begins a text, and what is still open. */
const CONTEXT_TOKENS = 16;

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
    const joiner = this.#begin();
    return {
      push: (id) => {
        const token = this.#tokenOf(id, keepSpecialTokens);
        return token === undefined ? '' : joiner.push(token);
      },
      end: () => joiner.end(),
    };
  }

  /** Begins the text behind a prompt, of which only the end is read: what is further off decides nothing. */
  openBehind(promptIds: readonly number[]): TextBehind {
    return readPrompt(() => this.open(false), this.#contextOf(promptIds));
  }

  /** The text of all ids. */
  decode(ids: readonly number[], keepSpecialTokens: boolean): string {
    const text = this.open(keepSpecialTokens);
    return ids.map((id) => text.push(id)).join('') + text.end();
  }

  /** Undefined for what has no text. */
  #tokenOf(id: number, keepSpecialTokens: boolean): string | undefined {
    const token = this.#vocabulary.tokenOf(id);
    return token === undefined || (!keepSpecialTokens && this.#vocabulary.specialTokens.has(token)) ? undefined : token;
  }

  #contextOf(promptIds: readonly number[]): readonly number[] {
    let start = promptIds.length;
    for (let count = 0; start > 0; start--) {
      const token = this.#tokenOf(promptIds[start - 1] ?? -1, false);
      // Bytes of a character belong together, however many characters follow each other.
      if (token === undefined || isByteToken(token)) continue;
      if (count++ === CONTEXT_TOKENS) break;
    }
    return promptIds.slice(start);
  }
}

/** Begins a text with `open`, behind a prompt of so many ids. */
export function readPrompt(open: () => IdDecoder, promptIds: readonly number[]): TextBehind {
  const read = (decoder: IdDecoder): string => promptIds.map((id) => decoder.push(id)).join('');
  const decoder = open();
  const given = read(decoder);
  const other = open();
  const whole = read(other) + other.end();
  return { decoder, promptRest: whole.slice(given.length) };
}
