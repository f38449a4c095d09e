/**
 * The token ids that a first prompt begins with: a conversation as the model's own chat template writes it, or a text with what
 * the tokenizer sets before every text, or at least the id that begins texts.
 */
import type { Prompt } from '../../contract/generate.ts';
import { isLoadError } from '../../contract/errors.ts';
import type { TextTokenizer } from '../texts/text-tokenizer.ts';

/** What this function needs of a model. */
export interface FirstIdsRequest {
  readonly tokenizer: Pick<TextTokenizer, 'available' | 'hasChatTemplate' | 'encodePrompt'>;
  /** Of generation_config.json and config.json, for their `bos_token_id`; null for what is not there. */
  readonly configs: readonly (Readonly<Record<string, unknown>> | null)[];
  readonly vocabSize: number;
}

const GREETING = 'Hello';

/** Empty where nothing is known. */
export function listFirstIds({ tokenizer, configs, vocabSize }: FirstIdsRequest): readonly number[] {
  const prompts: Prompt[] = [
    ...(tokenizer.hasChatTemplate ? [[{ role: 'user', content: GREETING }]] : []),
    ...(tokenizer.available ? [GREETING] : []),
  ];
  for (const prompt of prompts) {
    try {
      return tokenizer.encodePrompt(prompt, vocabSize);
    } catch (error) {
      // A template may refuse even this; what it is asked for in earnest has an error of its own.
      if (!isLoadError(error)) throw error;
    }
  }
  const first = configs.map((config) => config?.['bos_token_id']).find((id) => typeof id === 'number');
  return first === undefined ? [] : [first];
}
