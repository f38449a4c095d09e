/**
 * What the page says while a model that lost its GPU is rebuilt. Pure.
 */
import type { ModelState } from '../contract/model-state.ts';

/** A sentence, or nothing where there is nothing to say. */
export function describeRebuild(state: ModelState | null): string {
  if (state?.status !== 'rebuilding') return '';
  const again = state.attempt > 1 ? ` (attempt ${state.attempt})` : '';
  const isFull = state.attempt === 1 && state.reason.code === 'out_of_memory';
  return `The GPU ${isFull ? 'had no room' : 'was lost'}. The model is being rebuilt from the cache${again}; prompts wait until it is ready.`;
}
