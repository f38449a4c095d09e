/** Settings of a greedy generation that nothing but its length ends. */
import type { GenerateSettings } from '../../../src/pipeline/serve/generate-settings.ts';

export function plainSettings(maxNewTokens: number): GenerateSettings {
  return {
    maxNewTokens,
    limitedByContext: false,
    minNewTokens: 0,
    repetitionPenalty: 1,
    noRepeatNgramSize: 0,
    suppressedIds: [],
    beginSuppressedIds: [],
    badWordsIds: [],
    forcedBosId: null,
    forcedEosId: null,
    sampling: null,
    seed: null,
    stops: [],
    eosIds: new Set(),
  };
}
