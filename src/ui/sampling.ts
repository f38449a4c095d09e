/**
 * The sampling form as generation options.
 *
 * In: what the fields hold (null or empty: as the model says). Out: the options to send, or the field that is wrong.
 * Guarantees: only what was given is sent, so that generation_config.json decides the rest.
 */
import type { GenerateOptions } from '../contract/generate.ts';

/** The fields of the form. Null where empty. */
export interface SamplingFields {
  readonly maxNewTokens: number | null;
  /** `model`: as generation_config.json says. */
  readonly choice: 'model' | 'greedy' | 'sample';
  readonly temperature: number | null;
  readonly topK: number | null;
  readonly topP: number | null;
  readonly seed: number | null;
}

/** Options to send, or a sentence for people on why there are none. */
export type SamplingResult =
  { readonly ok: true; readonly options: GenerateOptions } | { readonly ok: false; readonly problem: string };

/** What the form holds at first. */
export const DEFAULT_SAMPLING: SamplingFields = {
  maxNewTokens: 256,
  choice: 'model',
  temperature: null,
  topK: null,
  topP: null,
  seed: null,
};

/** The options that `fields` stand for. */
export function readSampling(fields: SamplingFields): SamplingResult {
  const { maxNewTokens, choice, temperature, topK, topP, seed } = fields;
  if (maxNewTokens !== null && !isWhole(maxNewTokens, 1)) return wrong('New tokens is a whole number from 1 up.');
  if (temperature !== null && !(temperature > 0)) return wrong('Temperature is a number above 0.');
  if (topK !== null && !isWhole(topK, 0)) return wrong('Top k is a whole number; 0 keeps all tokens.');
  if (topP !== null && !(topP > 0 && topP <= 1)) return wrong('Top p is above 0 and at most 1.');
  if (seed !== null && !isWhole(seed, 0)) return wrong('The seed is a whole number from 0 up.');
  const sampling = choice !== 'greedy';
  return {
    ok: true,
    options: {
      ...(maxNewTokens === null ? {} : { max_new_tokens: maxNewTokens }),
      ...(choice === 'model' ? {} : { do_sample: sampling }),
      ...(sampling && temperature !== null ? { temperature } : {}),
      ...(sampling && topK !== null ? { top_k: topK } : {}),
      ...(sampling && topP !== null ? { top_p: topP } : {}),
      ...(sampling && seed !== null ? { seed } : {}),
    },
  };
}

function isWhole(value: number, least: number): boolean {
  return Number.isSafeInteger(value) && value >= least;
}

function wrong(problem: string): SamplingResult {
  return { ok: false, problem };
}
