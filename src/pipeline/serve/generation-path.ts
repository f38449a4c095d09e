/**
 * Which of the two ways a generation takes: the token loop on the device, or transformers.js's `generate()`.
 *
 * In: what is asked for and what there is. Out: the path, and why. Pure: the one place where this is decided.
 *
 * The token loop covers greedy and sampled choice, temperature, top-k, top-p, seed, repetition penalty, end tokens, stop
 * strings, and one short list of tokens that may not be chosen for a number of steps. Left to transformers.js: devices without
 * the loop (WebAssembly, or a GPU that failed to capture), longer or several such lists, and rules that look at more than the
 * last logits.
 */
import type { GenerationPath } from '../../contract/generate.ts';
import { MAX_FORBIDDEN_IDS } from '../../runtime/decoder.ts';
import type { GenerateSettings } from './generate-settings.ts';

/** A path and why it is taken. */
export interface PathChoice {
  readonly path: GenerationPath;
  readonly reason: string;
}

/** Tokens that may not be chosen in the first steps. */
export interface ForbiddenTokens {
  readonly ids: readonly number[];
  /** Infinity for ever. */
  readonly steps: number;
}

/** See the file's header. `loopObstacle` says why there is no token loop, null where there is one. */
export function chooseGenerationPath(settings: GenerateSettings, loopObstacle: string | null): PathChoice {
  const obstacle = loopObstacle ?? findUncovered(settings);
  return obstacle === null
    ? { path: 'gpu', reason: 'everything that is asked for is covered' }
    : { path: 'transformers', reason: obstacle };
}

/** All tokens that `settings` forbid, by how long they do; the token loop takes one such list. */
export function listForbidden(settings: GenerateSettings): readonly ForbiddenTokens[] {
  const { suppressedIds, beginSuppressedIds, minNewTokens, eosIds } = settings;
  const lists = [
    { ids: suppressedIds, steps: Infinity },
    { ids: beginSuppressedIds, steps: 1 },
    { ids: [...eosIds], steps: minNewTokens },
  ];
  return lists.filter(({ ids, steps }) => ids.length > 0 && steps > 0);
}

/** What the token loop has no means for; null where there is nothing. */
function findUncovered(settings: GenerateSettings): string | null {
  if (settings.noRepeatNgramSize > 0) return 'no_repeat_ngram_size is set';
  if (settings.badWordsIds.length > 0) return 'bad_words_ids is set';
  if (settings.forcedBosId !== null) return 'forced_bos_token_id is set';
  if (settings.forcedEosId !== null) return 'forced_eos_token_id is set';
  if (settings.sampling !== null && settings.sampling.minP > 0) return 'min_p is set';
  const forbidden = listForbidden(settings);
  const count = forbidden.reduce((sum, { ids }) => sum + ids.length, 0);
  if (forbidden.length > 1) return 'tokens are suppressed for different numbers of steps';
  if (count > MAX_FORBIDDEN_IDS) return `${count} tokens are suppressed`;
  return null;
}
