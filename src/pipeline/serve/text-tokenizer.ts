/**
 * The model's own tokenizer and chat template, by transformers.js.
 *
 * In: a tokenizer whose tokens and templates are complete (see `texts/read-texts.ts`). Out: prompts → ids and ids → text.
 */
import type { PreTrainedTokenizer } from '@huggingface/transformers';
import { LoadError } from '../../contract/errors.ts';
import type { ChatMessage, Prompt } from '../../contract/generate.ts';
import type { ChatTemplates } from '../../formats/tokenizer/chat-templates.ts';
import type { JsonObject } from '../../formats/tokenizer/json-object.ts';
import type { Transformers } from '../../runtime/transformers.ts';

/** What a tokenizer is made from. */
export interface TokenizerParts {
  /** In the form of tokenizer.json. */
  readonly tokenizer: JsonObject;
  /** In the form of tokenizer_config.json; its own chat template does not count. */
  readonly config: JsonObject;
  readonly chatTemplates: ChatTemplates | null;
}

/** See the file's header. */
export class TextTokenizer {
  readonly #tokenizer: PreTrainedTokenizer | null;

  /** Null for a model that takes token ids only. @throws LoadError `tokenizer_invalid` */
  constructor(transformers: Transformers, parts: TokenizerParts | null) {
    this.#tokenizer = parts === null ? null : makeTokenizer(transformers, parts);
  }

  get available(): boolean {
    return this.#tokenizer !== null;
  }

  get hasChatTemplate(): boolean {
    return Boolean(this.#tokenizer?.chat_template);
  }

  /** Token ids of a prompt. @throws LoadError `tokenizer_missing`, `invalid_argument` */
  encodePrompt(prompt: Prompt, vocabSize: number): number[] {
    const ids =
      typeof prompt === 'string'
        ? this.#require().encode(prompt)
        : isIds(prompt)
          ? [...prompt]
          : this.#encodeChat(prompt);
    if (ids.length === 0) throw new LoadError('invalid_argument', { message: 'The prompt has no tokens.' });
    const wrong = ids.find((id) => !Number.isSafeInteger(id) || id < 0 || id >= vocabSize);
    if (wrong !== undefined) {
      throw new LoadError('invalid_argument', {
        message: `Token id ${wrong} is not in the vocabulary of ${vocabSize} entries.`,
        detail: { id: wrong, vocabSize },
      });
    }
    return ids;
  }

  /** Text of some ids; special tokens are left out unless asked for. Empty where there is no tokenizer. */
  decode(ids: readonly number[], keepSpecialTokens = false): string {
    if (this.#tokenizer === null || ids.length === 0) return '';
    return this.#tokenizer.decode([...ids], { skip_special_tokens: !keepSpecialTokens });
  }

  #encodeChat(messages: readonly ChatMessage[]): number[] {
    const tokenizer = this.#require();
    if (!this.hasChatTemplate) {
      throw new LoadError('invalid_argument', {
        message: 'This model has no chat template; pass the prompt as one string.',
      });
    }
    try {
      const ids: unknown = tokenizer.apply_chat_template([...messages], {
        add_generation_prompt: true,
        return_tensor: false,
        return_dict: false,
      });
      return ids as number[];
    } catch (error) {
      // A template refuses conversations that its model was not made for (roles, their order).
      throw new LoadError('invalid_argument', {
        message: `The chat template refused the conversation: ${error instanceof Error ? error.message : String(error)}`,
        cause: error,
      });
    }
  }

  #require(): PreTrainedTokenizer {
    if (this.#tokenizer === null) {
      throw new LoadError('tokenizer_missing', { message: 'Pass token ids instead of text.', stage: 'serve' });
    }
    return this.#tokenizer;
  }
}

function makeTokenizer(
  transformers: Transformers,
  { tokenizer, config, chatTemplates }: TokenizerParts,
): PreTrainedTokenizer {
  try {
    return new transformers.PreTrainedTokenizer(tokenizer, { ...config, chat_template: chatTemplates });
  } catch (error) {
    throw new LoadError('tokenizer_invalid', {
      message: `transformers.js cannot make a tokenizer of it: ${error instanceof Error ? error.message : String(error)}`,
      stage: 'serve',
      cause: error,
    });
  }
}

function isIds(prompt: readonly ChatMessage[] | readonly number[]): prompt is readonly number[] {
  return prompt.every((item) => typeof item === 'number');
}
