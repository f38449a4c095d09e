/**
 * The model's own tokenizer and chat template, by transformers.js.
 *
 * In: tokenizer.json, tokenizer_config.json and chat_template.jinja as the repository has them. Out: prompts → ids and
 * ids → text.
 */
import type { PreTrainedTokenizer } from '@huggingface/transformers';
import { LoadError } from '../../contract/errors.ts';
import type { ChatMessage, Prompt } from '../../contract/generate.ts';
import type { Transformers } from '../../runtime/transformers.ts';

/** The tokenizer's files, parsed; null where the repository has none. */
export interface TokenizerFiles {
  readonly tokenizer: Readonly<Record<string, unknown>> | null;
  readonly tokenizerConfig: Readonly<Record<string, unknown>> | null;
  /** Newer repositories keep the chat template in a file of its own. */
  readonly chatTemplate: string | null;
}

/** See the file's header. */
export class TextTokenizer {
  readonly #tokenizer: PreTrainedTokenizer | null;

  constructor(transformers: Transformers, files: TokenizerFiles) {
    if (files.tokenizer === null) {
      this.#tokenizer = null;
      return;
    }
    const config = { ...files.tokenizerConfig };
    if (files.chatTemplate !== null) config['chat_template'] ??= files.chatTemplate;
    try {
      this.#tokenizer = new transformers.PreTrainedTokenizer(files.tokenizer, config);
    } catch (error) {
      throw new LoadError('config_invalid', {
        message: 'transformers.js could not make a tokenizer from tokenizer.json.',
        stage: 'serve',
        cause: error,
      });
    }
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

function isIds(prompt: readonly ChatMessage[] | readonly number[]): prompt is readonly number[] {
  return prompt.every((item) => typeof item === 'number');
}
