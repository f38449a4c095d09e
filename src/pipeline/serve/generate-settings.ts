/**
 * The options of one generation, checked and completed.
 *
 * In: what the caller said, what the repository says, the room that is left in the context. Out: settings without gaps.
 * Precedence: the call, then generation_config.json, then transformers' defaults. Only the length is another matter: where nobody
 * gives max_new_tokens, an answer may be as long as there is room. (max_length, which many files repeat from a class, would cut
 * long conversations short of that.)
 */
import { LoadError } from '../../contract/errors.ts';
import type { GenerateOptions } from '../../contract/generate.ts';
import { CHECKS, TEXTS } from './generation-checks.ts';
import type { Check, CommonSettings } from './generation-checks.ts';
import type { GenerationDefaults } from './generation-defaults.ts';
import type { SamplingSettings } from './sampling.ts';

/** See the file's header. */
export interface GenerateSettings {
  readonly maxNewTokens: number;
  /** True where the context set the limit, and nobody asked for it. */
  readonly limitedByContext: boolean;
  readonly minNewTokens: number;
  readonly repetitionPenalty: number;
  /** 0 for none. */
  readonly noRepeatNgramSize: number;
  /** Never chosen. */
  readonly suppressedIds: readonly number[];
  /** Not chosen as the first token. */
  readonly beginSuppressedIds: readonly number[];
  /** Sequences that are never completed. */
  readonly badWordsIds: readonly (readonly number[])[];
  readonly forcedBosId: number | null;
  readonly forcedEosId: number | null;
  /** Null for greedy. */
  readonly sampling: SamplingSettings | null;
  readonly seed: number | null;
  readonly stops: readonly string[];
  readonly eosIds: ReadonlySet<number>;
}

/** What a generation starts from, besides its options. */
export interface GenerationStart {
  readonly defaults: GenerationDefaults;
  readonly eosIds: ReadonlySet<number>;
  readonly promptTokens: number;
  /** Tokens that the context has room for behind the prompt. */
  readonly roomTokens: number;
}

/** @throws LoadError `invalid_argument` for what the caller said */
export function completeSettings(options: GenerateOptions, start: GenerationStart): GenerateSettings {
  const { defaults, eosIds, promptTokens, roomTokens } = start;
  const { min_length = 0 } = defaults;
  const settings: CommonSettings = {
    ...TRANSFORMERS_DEFAULTS,
    max_new_tokens: Infinity,
    min_new_tokens: Math.max(0, min_length - promptTokens),
    ...defaults,
    ...checkOptions(options),
  };
  const { max_new_tokens: askedTokens, do_sample, temperature, top_k: topK, top_p: topP, min_p: minP } = settings;
  // Temperature 0 means "always the best" to most callers, and would divide by zero in the sampler.
  const doSample = do_sample && temperature > 0 && topP > 0;
  return {
    maxNewTokens: Math.min(askedTokens, roomTokens),
    limitedByContext: askedTokens > roomTokens,
    minNewTokens: settings.min_new_tokens,
    repetitionPenalty: settings.repetition_penalty,
    noRepeatNgramSize: settings.no_repeat_ngram_size,
    suppressedIds: settings.suppress_tokens,
    beginSuppressedIds: settings.begin_suppress_tokens,
    badWordsIds: settings.bad_words_ids,
    forcedBosId: defaults.forced_bos_token_id ?? null,
    forcedEosId: defaults.forced_eos_token_id ?? null,
    sampling: doSample ? { temperature, topK, topP, minP } : null,
    seed: checkOption('seed', options.seed, SEED) ?? null,
    stops: checkOption('stop', options.stop, TEXTS) ?? defaults.stop_strings ?? [],
    eosIds,
  };
}

/** Of its GenerationConfig. */
const TRANSFORMERS_DEFAULTS: Omit<CommonSettings, 'max_new_tokens' | 'min_new_tokens'> = {
  do_sample: false,
  temperature: 1,
  top_k: 50,
  top_p: 1,
  min_p: 0,
  repetition_penalty: 1,
  no_repeat_ngram_size: 0,
  suppress_tokens: [],
  begin_suppress_tokens: [],
  bad_words_ids: [],
};

/** The options that were given, each as it has to be. */
function checkOptions(options: GenerateOptions): Partial<CommonSettings> {
  const given = Object.entries(CHECKS).map(([key, check]) => {
    const name = key as keyof CommonSettings;
    return [name, checkOption<unknown>(name, options[name], check)] as const;
  });
  return Object.fromEntries(given.filter(([, value]) => value !== undefined));
}

const SEED: Check<number> = {
  words: 'a whole number',
  holds: (value): value is number => Number.isSafeInteger(value),
};

/** The option, undefined where it was left out (null counts as that: it is what Python's None becomes). */
function checkOption<T>(key: keyof GenerateOptions, given: unknown, check: Check<T>): T | undefined {
  const value = given ?? undefined;
  if (value === undefined || check.holds(value)) return value;
  throw new LoadError('invalid_argument', {
    message: `${key} must be ${check.words}, and is ${JSON.stringify(value)}.`,
    stage: 'serve',
    detail: { option: key, value },
  });
}
