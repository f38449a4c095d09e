/**
 * How many tokens the KV cache of a plan holds and may grow to, and for how many conversations. Pure.
 */
import { LoadError } from '../../contract/errors.ts';
import type { ContextRange } from '../../contract/load.ts';

/** A choice and a sentence that says why. */
export interface Choice<T> {
  readonly value: T;
  readonly reason: string;
}

/** What a conversation mostly needs: reserved where nothing else is asked for; the cache grows when one needs more. */
const DEFAULT_CONTEXT_TOKENS = 2048;

/** As in {@link LoadRequest.contextTokens}. */
export type ContextRequest = number | ContextRange | null;

/** What the device can hold. */
interface ContextBounds {
  readonly tokens: number;
  /** Why no more. */
  readonly cause: string;
  /** The most that is taken where nobody asks for more. */
  readonly unaskedTokens: number;
}

/**
 * How many tokens are reserved, and how many the cache may grow to: what was asked for or the defaults, at most what the
 * checkpoint was made for, and at most what the device can hold; with the one of these that decided as the reason. At least 1, so
 * that sizes can be stated even where nothing fits.
 * @throws LoadError `invalid_argument`
 */
export function chooseContext(
  requested: ContextRequest,
  checkpointTokens: number,
  bounds: ContextBounds,
): { readonly context: Choice<number>; readonly maxContextTokens: number } {
  const range = typeof requested === 'number' ? { reserve: requested, max: requested } : (requested ?? {});
  checkRange(range);
  const { reserve, max } = range;
  const most = Math.max(1, Math.min(checkpointTokens, bounds.tokens));
  const ceiling = Math.min(most, max ?? Math.max(reserve ?? 1, bounds.unaskedTokens));
  const wanted = Math.min(reserve ?? DEFAULT_CONTEXT_TOKENS, max ?? Infinity, checkpointTokens);
  const value = Math.min(wanted, ceiling);
  return { context: { value, reason: explain() }, maxContextTokens: ceiling };

  function explain(): string {
    if (wanted > bounds.tokens) return `Shortened from ${wanted} tokens: ${bounds.cause}.`;
    const began = reserve === undefined ? 'Enough for most conversations' : 'As requested';
    if (value < ceiling) {
      return `${began}; it grows by itself up to ${ceiling} when a conversation needs it and the device has room.`;
    }
    if (value === max || value === reserve) return 'As requested.';
    if (value === checkpointTokens) return 'All that the checkpoint was made for.';
    return `All that is taken unasked; up to ${most} may be asked for.`;
  }
}

function checkRange({ reserve, max }: ContextRange): void {
  for (const tokens of [reserve, max]) {
    if (tokens === undefined || (Number.isSafeInteger(tokens) && tokens > 0)) continue;
    throw new LoadError('invalid_argument', {
      message: `contextTokens is ${tokens}; it must be a whole number above 0.`,
      detail: { contextTokens: tokens },
    });
  }
  if (reserve === undefined || max === undefined || reserve <= max) return;
  throw new LoadError('invalid_argument', {
    message: `contextTokens reserves ${reserve}, which is more than the ${max} that it may grow to.`,
    detail: { reserve, max },
  });
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
