/**
 * What each setting of a generation may be, whoever gives it. Pure.
 */

/** What a value has to be, in words, and whether it is. */
export interface Check<T> {
  readonly words: string;
  holds(value: unknown): value is T;
}

/** The settings that both a call and generation_config.json may give, by their names in transformers. */
export interface CommonSettings {
  readonly max_new_tokens: number;
  readonly min_new_tokens: number;
  readonly do_sample: boolean;
  readonly temperature: number;
  readonly top_k: number;
  readonly top_p: number;
  readonly min_p: number;
  readonly repetition_penalty: number;
  readonly no_repeat_ngram_size: number;
  readonly suppress_tokens: readonly number[];
  readonly begin_suppress_tokens: readonly number[];
  readonly bad_words_ids: readonly (readonly number[])[];
}

const POSITIVE_INTEGER: Check<number> = {
  words: 'a whole number above 0',
  holds: (value): value is number => isNatural(value) && value > 0,
};
export const NATURAL: Check<number> = { words: 'a whole number, 0 or more', holds: isNatural };
const NOT_NEGATIVE: Check<number> = {
  words: 'a number, 0 or more',
  holds: (value): value is number => isFinite(value) && value >= 0,
};
const POSITIVE: Check<number> = {
  words: 'a number above 0',
  holds: (value): value is number => isFinite(value) && value > 0,
};
const SHARE: Check<number> = {
  words: 'a number above 0 and at most 1',
  holds: (value): value is number => isFinite(value) && value > 0 && value <= 1,
};
export const SHARE_OR_NONE: Check<number> = {
  words: 'a number from 0 to 1',
  holds: (value): value is number => isFinite(value) && value >= 0 && value <= 1,
};
const YES_OR_NO: Check<boolean> = {
  words: 'true or false',
  holds: (value): value is boolean => typeof value === 'boolean',
};
export const TOKEN_ID: Check<number> = { words: 'a token id', holds: isNatural };
const TOKEN_IDS: Check<readonly number[]> = { words: 'a list of token ids', holds: isIds };
const TOKEN_SEQUENCES: Check<readonly (readonly number[])[]> = {
  words: 'a list of lists of token ids, none of them empty',
  holds: (value): value is readonly (readonly number[])[] =>
    Array.isArray(value) && value.every((item) => isIds(item) && item.length > 0),
};
export const TEXTS: Check<readonly string[]> = {
  words: 'a list of texts',
  holds: (value): value is readonly string[] => Array.isArray(value) && value.every((item) => typeof item === 'string'),
};

/** See {@link CommonSettings}. */
export const CHECKS: { readonly [Key in keyof CommonSettings]: Check<CommonSettings[Key]> } = {
  max_new_tokens: POSITIVE_INTEGER,
  min_new_tokens: NATURAL,
  do_sample: YES_OR_NO,
  temperature: NOT_NEGATIVE,
  top_k: NATURAL,
  top_p: SHARE,
  min_p: SHARE_OR_NONE,
  repetition_penalty: POSITIVE,
  no_repeat_ngram_size: NATURAL,
  suppress_tokens: TOKEN_IDS,
  begin_suppress_tokens: TOKEN_IDS,
  bad_words_ids: TOKEN_SEQUENCES,
};

function isFinite(value: unknown): value is number {
  return typeof value === 'number' && Number.isFinite(value);
}

function isNatural(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0;
}

function isIds(value: unknown): value is readonly number[] {
  return Array.isArray(value) && value.every(isNatural);
}
