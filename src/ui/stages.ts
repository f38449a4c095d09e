/**
 * The stages of the pipeline in words for people.
 *
 * In: a stage. Out: its name, and what it does while nothing better is known.
 */
import { STAGES, type Stage } from '../contract/errors.ts';

/** What a page says about a stage. */
export interface StageWords {
  readonly name: string;
  readonly task: string;
  /** Its part of the whole, used for the iris only: how far it opens. The sum is 1. */
  readonly share: number;
}

const WORDS: Readonly<Record<Stage, StageWords>> = {
  resolve: { name: 'Resolve', task: 'from a name to one commit', share: 0.04 },
  plan: { name: 'Plan', task: 'every byte, before any is fetched', share: 0.06 },
  build: { name: 'Build', task: 'the graph, still without weights', share: 0.05 },
  fetch: { name: 'Fetch', task: 'weights into the cache', share: 0.35 },
  fill: { name: 'Fill', task: 'cast and quantise, block by block', share: 0.18 },
  place: { name: 'Place', task: 'tensors onto the device', share: 0.14 },
  warmUp: { name: 'Warm up', task: 'first prefill, first decode', share: 0.15 },
  serve: { name: 'Serve', task: 'ready for prompts', share: 0.03 },
};

/** All stages in pipeline order, with their words. */
export const STAGE_WORDS: readonly (StageWords & { readonly stage: Stage })[] = STAGES.map((stage) => ({
  stage,
  ...WORDS[stage],
}));

/** The words for one stage. */
export function stageWords(stage: Stage): StageWords {
  return WORDS[stage];
}
