/**
 * The model's own tokenizer and chat template, by transformers.js.
 *
 * In: a tokenizer whose tokens and templates are complete (see `texts/read-texts.ts`). Out: prompts → ids and ids → text.
 */
import type { PreTrainedTokenizer } from '@huggingface/transformers';
import { LoadError } from '../../contract/errors.ts';
import type { ChatMessage, ChatOptions, Prompt } from '../../contract/generate.ts';
import type { ChatTemplates } from '../../formats/tokenizer/chat-templates.ts';
import type { JsonObject } from '../../formats/tokenizer/json-object.ts';
import type { Transformers } from '../../runtime/ort/transformers.ts';
import { findTemplateProblem, renderChat } from './chat-template.ts';
import { TokenDecoder } from './token-decoder.ts';
import type { TextBehind } from './token-decoder.ts';

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
  readonly #decoder: TokenDecoder | null;

  /** Null for a model that takes token ids only. @throws LoadError `tokenizer_invalid` */
  constructor(transformers: Transformers, parts: TokenizerParts | null) {
    if (parts === null) {
      this.#tokenizer = null;
      this.#decoder = null;
      return;
    }
    const tokenizer = makeTokenizer(transformers, parts);
    this.#tokenizer = tokenizer;
    this.#decoder = new TokenDecoder(parts.tokenizer['decoder'], {
      tokenOf: (id) => tokenizer._tokenizer.id_to_token(id),
      specialTokens: new Set(tokenizer.all_special_tokens),
    });
  }

  get available(): boolean {
    return this.#tokenizer !== null;
  }

  get hasChatTemplate(): boolean {
    return Boolean(this.#tokenizer?.chat_template);
  }

  /** Why no conversation can be rendered, where that is known beforehand; null where there is no template to be wrong. */
  get templateProblem(): string | null {
    return this.#tokenizer && this.hasChatTemplate ? findTemplateProblem(this.#tokenizer) : null;
  }

  /** Id of the token that ends a text, as tokenizer_config.json names it; null where it names none. */
  get eosId(): number | null {
    return this.#tokenizer?.eos_token_id ?? null;
  }

  /**
   * Token ids of a prompt; `options` are for conversations.
   * @throws LoadError `tokenizer_missing`, `invalid_argument`, `chat_template_failed`
   */
  encodePrompt(prompt: Prompt, vocabSize: number, options: ChatOptions = {}): number[] {
    const ids = this.#listIds(prompt, options);
    if (ids.length === 0) throw new LoadError('invalid_argument', { message: 'The prompt has no tokens.' });
    const wrong = ids.find((id) => !isTokenId(id) || id >= vocabSize);
    if (wrong !== undefined) throw isTokenId(wrong) ? this.#beyondVocabulary(wrong, vocabSize) : notAnId(wrong);
    return ids;
  }

  /**
   * Text of some ids; special tokens are left out unless asked for. Empty where there is no tokenizer; an id that it does not
   * know has no text. @throws LoadError `invalid_argument` for what is no token id
   */
  decode(ids: readonly number[], keepSpecialTokens = false): string {
    const wrong = ids.find((id) => !isTokenId(id));
    if (wrong !== undefined) throw notAnId(wrong);
    return this.#decoder?.decode(ids, keepSpecialTokens) ?? '';
  }

  /** Begins the text behind a prompt, of tokens that come one at a time; special tokens are left out. */
  openBehind(promptIds: readonly number[]): TextBehind {
    return this.#decoder?.openBehind(promptIds) ?? NO_TEXT;
  }

  #listIds(prompt: Prompt, options: ChatOptions): number[] {
    if (typeof prompt !== 'string' && !isList(prompt)) {
      throw new LoadError('invalid_argument', {
        message: 'A prompt is a text, a list of messages, or a list of token ids.',
      });
    }
    if (prompt !== '' && prompt.length === 0) {
      throw new LoadError('invalid_argument', {
        message: 'The prompt is empty: pass a text, at least one message, or at least one token id.',
      });
    }
    if (typeof prompt !== 'string' && !isIds(prompt)) return this.#encodeChat(prompt, options);
    const misplaced = options.continue_final_message === true ? 'continue_final_message' : options.tools && 'tools';
    if (misplaced !== undefined) {
      throw new LoadError('invalid_argument', {
        message: `${misplaced} goes with a conversation, not with a text or ids.`,
      });
    }
    return typeof prompt === 'string' ? this.#encodeText(prompt, true) : [...prompt];
  }

  #encodeText(text: string, addSpecialTokens: boolean): number[] {
    // A character that the vocabulary cannot write is left out, as tokenizers does where there is no token for the unknown.
    const ids: readonly (number | undefined)[] = this.#require().encode(text, {
      add_special_tokens: addSpecialTokens,
    });
    return ids.filter((id) => id !== undefined);
  }

  #encodeChat(messages: readonly ChatMessage[], options: ChatOptions): number[] {
    const tokenizer = this.#require();
    if (!this.hasChatTemplate) {
      throw new LoadError('invalid_argument', {
        message: 'This model has no chat template; pass the prompt as one string.',
      });
    }
    return this.#encodeText(renderChat(tokenizer, messages, options), false);
  }

  /** A tokenizer may know more tokens than the model: some were added to it alone. */
  #beyondVocabulary(id: number, vocabSize: number): LoadError {
    const token = this.#tokenizer?._tokenizer.id_to_token(id);
    const name = token === undefined ? '' : `, ${JSON.stringify(token)},`;
    return new LoadError('invalid_argument', {
      message: `Token id ${id}${name} is not in the model's vocabulary of ${vocabSize} entries. Take it out of the prompt.`,
      detail: { id, vocabSize, ...(token === undefined ? {} : { token }) },
    });
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

/** Of a model without a tokenizer. */
const NO_TEXT: TextBehind = { decoder: { push: () => '', end: () => '' }, promptRest: '' };

/** `Array.isArray` would forget what the list holds. */
function isList(value: unknown): boolean {
  return Array.isArray(value);
}

function isTokenId(id: number): boolean {
  return Number.isSafeInteger(id) && id >= 0;
}

function notAnId(id: number): LoadError {
  return new LoadError('invalid_argument', { message: `${id} is no token id.`, detail: { id } });
}

function isIds(prompt: readonly ChatMessage[] | readonly number[]): prompt is readonly number[] {
  return prompt.every((item) => typeof item === 'number');
}
