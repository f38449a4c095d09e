/**
 * Which of the two ways a generation takes: the token loop on the device, or transformers.js's `generate()`.
 *
 * In: what is asked for and what there is. Out: the path, and why. Pure: the one place where this is decided.
 *
 * The token loop covers every option of {@link GenerateOptions}: greedy and sampled choice, temperature, top-k, top-p, seed,
 * repetition penalty, min_new_tokens, end tokens and stop strings. Left to transformers.js: devices without the loop
 * (WebAssembly, or a GPU that failed to capture), more end tokens to suppress than the loop takes, and settings that
 * transformers.js's `generate()` reads from config.json, where older repositories keep them.
 */
import type { GenerationPath } from '../../contract/generate.ts';
import { MAX_FORBIDDEN_IDS } from '../../runtime/decoder.ts';
import type { GenerateSettings } from './generate-settings.ts';

/** A path and why it is taken. */
export interface PathChoice {
  readonly path: GenerationPath;
  readonly reason: string;
}

/** See the file's header. `config` is config.json; `loopObstacle` says why there is no token loop, null where there is one. */
export function chooseGenerationPath(
  settings: Pick<GenerateSettings, 'minNewTokens' | 'eosIds'>,
  config: Readonly<Record<string, unknown>>,
  loopObstacle: string | null,
): PathChoice {
  if (loopObstacle !== null) return { path: 'transformers', reason: loopObstacle };
  if (settings.minNewTokens > 0 && settings.eosIds.size > MAX_FORBIDDEN_IDS) {
    return { path: 'transformers', reason: `min_new_tokens would suppress ${settings.eosIds.size} end tokens` };
  }
  const special = findSpecialSetting(config);
  if (special !== null) return { path: 'transformers', reason: `config.json sets ${special}` };
  return { path: 'gpu', reason: 'everything that is asked for is covered' };
}

/** Keys under which transformers.js looks for a decoder's settings, besides the config itself. */
const NESTED_CONFIGS = ['decoder', 'generator', 'text_config'];

/** Settings that change which tokens are chosen, each with the values that do. */
const SPECIAL_SETTINGS: Readonly<Record<string, (value: unknown) => boolean>> = {
  num_beams: isAbove(1),
  num_beam_groups: isAbove(1),
  num_return_sequences: isAbove(1),
  no_repeat_ngram_size: isAbove(0),
  encoder_no_repeat_ngram_size: isAbove(0),
  min_length: isAbove(0),
  guidance_scale: isAbove(1),
  penalty_alpha: isAbove(0),
  bad_words_ids: isList,
  force_words_ids: isList,
  suppress_tokens: isList,
  begin_suppress_tokens: isList,
  forced_decoder_ids: isList,
  forced_bos_token_id: isGiven,
  forced_eos_token_id: isGiven,
};

function findSpecialSetting(config: Readonly<Record<string, unknown>>): string | null {
  const places = [config, ...NESTED_CONFIGS.map((key) => config[key]).filter(isRecord)];
  for (const place of places) {
    for (const [key, matters] of Object.entries(SPECIAL_SETTINGS)) if (matters(place[key])) return key;
  }
  return null;
}

function isAbove(limit: number): (value: unknown) => boolean {
  return (value) => typeof value === 'number' && value > limit;
}

function isList(value: unknown): boolean {
  return Array.isArray(value) && value.length > 0;
}

function isGiven(value: unknown): boolean {
  return value !== undefined && value !== null;
}

function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null;
}
