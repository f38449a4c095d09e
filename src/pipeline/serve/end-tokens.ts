/**
 * The tokens that end an answer. Pure.
 *
 * In: all places that name one. Out: their union: a model that was tuned to end its turns with another token often says so in
 * one of them only. (transformers takes generation_config.json's alone, and runs on where only the tokenizer was changed.)
 */
import { isJsonObject } from '../../formats/tokenizer/json-object.ts';
import type { JsonObject } from '../../formats/tokenizer/json-object.ts';

/** What names end tokens. */
export interface EndTokenSources {
  /** Null where the repository has none. */
  readonly generationConfig: JsonObject | null;
  readonly config: JsonObject;
  /** Id of the tokenizer's `eos_token`; null where it has none. */
  readonly tokenizerEosId: number | null;
}

/** Ids that the model can give, of `vocabSize`; others can never come. */
export function listEndTokens(sources: EndTokenSources, vocabSize: number): ReadonlySet<number> {
  const { generationConfig, config, tokenizerEosId } = sources;
  const textConfig = config['text_config'];
  const named = [
    generationConfig?.['eos_token_id'],
    config['eos_token_id'],
    isJsonObject(textConfig) ? textConfig['eos_token_id'] : undefined,
    tokenizerEosId,
  ].flat();
  const isPossible = (id: unknown): id is number =>
    Number.isSafeInteger(id) && Number(id) >= 0 && Number(id) < vocabSize;
  return new Set(named.filter(isPossible));
}
