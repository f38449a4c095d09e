/**
 * The options of one generation, checked and completed.
 *
 * In: what the caller said, the repository's generation_config.json, the room that is left in the context. Out: settings
 * without gaps. Precedence: the call, then generation_config.json, then transformers' defaults.
 */
import { LoadError } from '../../contract/errors.ts';
import type { GenerateOptions } from '../../contract/generate.ts';
import type { SamplingSettings } from './sampling.ts';

/** See the file's header. */
export interface GenerateSettings {
  readonly maxNewTokens: number;
  /** True where the context, not the caller, set the limit. */
  readonly limitedByContext: boolean;
  readonly minNewTokens: number;
  readonly repetitionPenalty: number;
  /** Null for greedy. */
  readonly sampling: SamplingSettings | null;
  readonly seed: number | null;
  readonly stops: readonly string[];
  readonly eosIds: ReadonlySet<number>;
}

/** @throws LoadError `invalid_argument` */
export function completeSettings(
  options: GenerateOptions,
  generationConfig: Readonly<Record<string, unknown>>,
  roomTokens: number,
): GenerateSettings {
  const pick = (key: keyof GenerateOptions, fallback: number, check: Check): number => {
    const given = options[key] ?? generationConfig[key] ?? fallback;
    if (typeof given !== 'number' || !check.holds(given)) {
      throw new LoadError('invalid_argument', {
        message: `${key} must be ${check.words}, and is ${JSON.stringify(given)}.`,
        stage: 'serve',
        detail: { option: key, value: given },
      });
    }
    return given;
  };
  const wantedTokens = pick('max_new_tokens', roomTokens, POSITIVE_INTEGER);
  const temperature = pick('temperature', 1, NOT_NEGATIVE);
  // Temperature 0 means "always the best" to most callers, and would divide by zero in the sampler.
  const doSample = (options.do_sample ?? generationConfig['do_sample'] ?? false) === true && temperature > 0;
  const { seed } = options;
  if (seed !== undefined && !Number.isSafeInteger(seed)) {
    throw new LoadError('invalid_argument', { message: 'seed must be a whole number.', stage: 'serve' });
  }
  return {
    maxNewTokens: Math.min(wantedTokens, roomTokens),
    limitedByContext: wantedTokens > roomTokens || options.max_new_tokens === undefined,
    minNewTokens: pick('min_new_tokens', 0, NATURAL),
    repetitionPenalty: pick('repetition_penalty', 1, POSITIVE),
    sampling: doSample ? { temperature, topK: pick('top_k', 50, NATURAL), topP: pick('top_p', 1, SHARE) } : null,
    seed: seed ?? null,
    stops: options.stop ?? [],
    eosIds: new Set([generationConfig['eos_token_id']].flat().filter((id) => typeof id === 'number')),
  };
}

interface Check {
  readonly words: string;
  holds(value: number): boolean;
}

const POSITIVE_INTEGER: Check = { words: 'a whole number above 0', holds: (n) => Number.isSafeInteger(n) && n > 0 };
const NATURAL: Check = { words: 'a whole number, 0 or more', holds: (n) => Number.isSafeInteger(n) && n >= 0 };
const NOT_NEGATIVE: Check = { words: 'a number, 0 or more', holds: (n) => Number.isFinite(n) && n >= 0 };
const POSITIVE: Check = { words: 'a number above 0', holds: (n) => Number.isFinite(n) && n > 0 };
const SHARE: Check = { words: 'a number above 0 and at most 1', holds: (n) => n > 0 && n <= 1 };
