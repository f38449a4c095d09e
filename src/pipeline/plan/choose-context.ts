/**
 * How many tokens the KV cache of a plan holds, and for how many conversations. Pure.
 */
import { LoadError } from '../../contract/errors.ts';

/** A choice and a sentence that says why. */
export interface Choice<T> {
  readonly value: T;
  readonly reason: string;
}

/** Longer contexts cost memory that most conversations never touch; a request may ask for more. */
const DEFAULT_CONTEXT_TOKENS = 2048;

/**
 * What was asked for or a default, at most what the checkpoint was made for, and at most what the device can hold; with the
 * one of these that decided as the reason. At least 1, so that sizes can be stated even where nothing fits.
 * @throws LoadError `invalid_argument`
 */
export function chooseContextTokens(
  requested: number | null,
  maxContextTokens: number,
  longest: { readonly tokens: number; readonly cause: string },
): Choice<number> {
  if (requested !== null && !(Number.isSafeInteger(requested) && requested > 0)) {
    throw new LoadError('invalid_argument', {
      message: `contextTokens is ${requested}; it must be a whole number above 0.`,
      detail: { contextTokens: requested },
    });
  }
  const wanted = Math.min(requested ?? DEFAULT_CONTEXT_TOKENS, maxContextTokens);
  if (wanted > longest.tokens) {
    return { value: Math.max(1, longest.tokens), reason: `Shortened from ${wanted} tokens: ${longest.cause}.` };
  }
  if (wanted === requested) return { value: wanted, reason: 'As requested.' };
  if (wanted === maxContextTokens) return { value: wanted, reason: 'All that the checkpoint was made for.' };
  const most = Math.min(maxContextTokens, longest.tokens);
  return { value: wanted, reason: `Enough for most conversations; up to ${most} may be asked for.` };
}

/** One that runs, and one to come back to: a page that asks something aside loses nothing. */
const DEFAULT_CONVERSATIONS = 2;

const MAX_CONVERSATIONS = 16;

/** What was asked for or a default. @throws LoadError `invalid_argument` */
export function chooseConversations(requested: number | null): number {
  if (requested === null) return DEFAULT_CONVERSATIONS;
  if (Number.isSafeInteger(requested) && requested >= 1 && requested <= MAX_CONVERSATIONS) return requested;
  throw new LoadError('invalid_argument', {
    message: `conversations is ${requested}; it must be a whole number from 1 to ${MAX_CONVERSATIONS}.`,
    detail: { conversations: requested },
  });
}
