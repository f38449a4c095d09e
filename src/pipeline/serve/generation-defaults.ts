/**
 * What a repository says of how its model is to generate.
 *
 * In: generation_config.json, and config.json, where older repositories keep the same keys. Out: the settings that hold where a
 * call says nothing, and a sentence for each value that is not taken as it stands. Pure. Guarantees: no value of a file can
 * make a generation fail: one that nobody could mean is left out, and what Firstlight does not have is named.
 */
import { isJsonObject } from '../../formats/tokenizer/json-object.ts';
import type { JsonObject } from '../../formats/tokenizer/json-object.ts';
import { CHECKS, NATURAL, SHARE_OR_NONE, TEXTS, TOKEN_ID } from './generation-checks.ts';
import type { Check, CommonSettings } from './generation-checks.ts';

/** See the file's header. */
export interface GenerationDefaults extends Partial<CommonSettings> {
  /** Tokens of prompt and answer together; as `min_new_tokens` where that is missing. */
  readonly min_length?: number;
  readonly forced_bos_token_id?: number;
  readonly forced_eos_token_id?: number;
  readonly stop_strings?: readonly string[];
}

/** Defaults, and what is worth knowing about how they were read. */
export interface ReadDefaults {
  readonly defaults: GenerationDefaults;
  readonly notices: readonly string[];
}

/** Keys under which models with several parts keep what concerns the one that writes, as transformers.js looks for them. */
const NESTED_CONFIGS = ['decoder', 'generator', 'text_config'];

const FILE_CHECKS: { readonly [Key in keyof Required<GenerationDefaults>]: Check<GenerationDefaults[Key]> } = {
  ...CHECKS,
  // 0 leaves the best token alone, in transformers too; a call that says so is more likely a mistake.
  top_p: SHARE_OR_NONE,
  min_length: NATURAL,
  forced_bos_token_id: TOKEN_ID,
  forced_eos_token_id: TOKEN_ID,
  stop_strings: TEXTS,
};

/** What transformers has and Firstlight does not, each with the values that change no token. */
const UNSUPPORTED: Readonly<Record<string, (value: unknown) => boolean>> = {
  num_beams: (value) => value === 1,
  num_beam_groups: (value) => value === 1,
  num_return_sequences: (value) => value === 1,
  penalty_alpha: (value) => value === 0,
  guidance_scale: (value) => value === 1,
  typical_p: (value) => value === 1,
  top_h: () => false,
  epsilon_cutoff: (value) => value === 0,
  eta_cutoff: (value) => value === 0,
  sequence_bias: isEmpty,
  force_words_ids: isEmpty,
  constraints: isEmpty,
  exponential_decay_length_penalty: isEmpty,
  watermarking_config: isEmpty,
  max_time: () => false,
};

/** `generationConfig` is null where the repository has no such file; only then does config.json count, as in transformers. */
export function readGenerationDefaults(generationConfig: JsonObject | null, config: JsonObject): ReadDefaults {
  const file = generationConfig === null ? 'config.json' : 'generation_config.json';
  const given = generationConfig ?? flatten(config);
  const defaults: Record<string, unknown> = {};
  const notices: string[] = [];
  for (const [key, check] of Object.entries(FILE_CHECKS)) {
    const value = given[key];
    if (value === undefined || value === null) continue;
    if (check.holds(value)) defaults[key] = value;
    else if (key === 'top_k' && value === -1) {
      defaults[key] = 0;
      notices.push(`${file}: top_k is -1, which other programs write for 0: all tokens are kept.`);
    } else {
      notices.push(`${file}: ${key} must be ${check.words}, and is ${show(value)}; it is left out.`);
    }
  }
  if (defaults['do_sample'] === true) {
    for (const key of ['temperature', 'top_p']) {
      if (defaults[key] === 0) notices.push(`${file}: ${key} is 0 with do_sample: always the best token is chosen.`);
    }
  }
  for (const [key, isHarmless] of Object.entries(UNSUPPORTED)) {
    const value = given[key];
    if (value === undefined || value === null || value === false || isHarmless(value)) continue;
    notices.push(`${file} sets ${key} to ${show(value)}, which Firstlight does not have; it is left out.`);
  }
  return { defaults, notices };
}

/** What the config itself says goes before what its parts say; null says nothing. */
function flatten(config: JsonObject): JsonObject {
  const parts = [...NESTED_CONFIGS.map((key) => config[key]).filter(isJsonObject), config];
  return Object.fromEntries(parts.flatMap((part) => Object.entries(part).filter(([, value]) => value !== null)));
}

/** A value as JSON, cut where it is long. */
function show(value: unknown): string {
  const text = JSON.stringify(value);
  return text.length > 60 ? `${text.slice(0, 60)}…` : text;
}

function isEmpty(value: unknown): boolean {
  return typeof value === 'object' && value !== null && Object.keys(value).length === 0;
}
