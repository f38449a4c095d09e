/**
 * What a page asks of a loaded model. Plain data.
 */

/** A part of a message. Only text is taken: other kinds are refused by name. */
export interface ContentPart {
  readonly type: 'text' | (string & {});
  readonly text?: string;
}

/** One message of a conversation, as chat templates take it. */
export interface ChatMessage {
  readonly role: 'system' | 'user' | 'assistant' | 'tool' | (string & {});
  /** Parts are joined. It may be missing, or null, beside `tool_calls`. */
  readonly content?: string | readonly ContentPart[] | null;
  /** What the template makes of these and other keys is its own affair. */
  readonly tool_calls?: readonly unknown[];
  readonly tool_call_id?: string;
  readonly name?: string;
  readonly reasoning_content?: string;
}

/** How a conversation becomes a prompt, in the words of transformers' `apply_chat_template`. */
export interface ChatOptions {
  /** JSON schemas of tools, for templates that offer them to the model. */
  readonly tools?: readonly Readonly<Record<string, unknown>>[];
  /** Leaves the last message open, so that the answer goes on with its text. */
  readonly continue_final_message?: boolean;
}

/** A prompt: text, a conversation (rendered by the model's chat template), or token ids. */
export type Prompt = string | readonly ChatMessage[] | readonly number[];

/**
 * Options of a generation, in transformers' words. What is left out comes from the model's generation_config.json,
 * then from transformers' defaults.
 */
export interface GenerateOptions extends ChatOptions {
  readonly max_new_tokens?: number;
  readonly min_new_tokens?: number;
  readonly do_sample?: boolean;
  /** > 0; 1 leaves the distribution as it is. */
  readonly temperature?: number;
  /** Keep the k likeliest tokens; 0 keeps all. */
  readonly top_k?: number;
  /** Keep the smallest set of tokens whose probabilities reach p, 0 < p ≤ 1. */
  readonly top_p?: number;
  /** Drop tokens that are less likely than this share of the likeliest one's probability, 0 ≤ p ≤ 1. */
  readonly min_p?: number;
  /** > 0; above 1 it makes tokens that came before, in the prompt too, less likely. */
  readonly repetition_penalty?: number;
  /** > 0: no sequence of so many tokens comes twice, the prompt included. */
  readonly no_repeat_ngram_size?: number;
  /** Token ids that are never chosen. */
  readonly suppress_tokens?: readonly number[];
  /** Token ids that are not chosen as the first token. */
  readonly begin_suppress_tokens?: readonly number[];
  /** Sequences of token ids that never come; an end token alone is none. */
  readonly bad_words_ids?: readonly (readonly number[])[];
  /** Makes sampling repeatable: the same seed, prompt and options give the same tokens. */
  readonly seed?: number;
  /** Text that ends the answer; it is not part of it. */
  readonly stop?: readonly string[];
}

/** One step of a generation. */
export interface GeneratedToken {
  readonly id: number;
  /** The text that this token completed; empty while a character is still open, and for an end token. */
  readonly text: string;
}

/**
 * Why a generation ended: an end token, the length that was asked for, a stop string, or no more room in the KV cache (what
 * was in the way stands in {@link GenerateReport.contextNote}).
 */
export type FinishReason = 'eos' | 'length' | 'stop' | 'context';

/** See {@link GenerateReport.path}. */
export type GenerationPath = 'gpu' | 'transformers';

/** What a generation did, in numbers. */
export interface GenerateReport {
  readonly promptTokens: number;
  /** Prompt tokens that the KV cache held already. */
  readonly reusedTokens: number;
  readonly newTokens: number;
  readonly finishReason: FinishReason;
  /** Where the context ended it, a sentence that says what kept it from growing; else null. */
  readonly contextNote: string | null;
  /**
   * What chose the tokens: kernels on the device, with JavaScript behind them (`gpu`), or transformers.js's `generate()`.
   * The same request gives the same tokens on both, but for what rounding decides.
   */
  readonly path: GenerationPath;
  /** Why that path was taken; where it was changed to in mid-generation, after how many tokens. */
  readonly pathReason: string;
  /** From the request to the first token. */
  readonly firstTokenMs: number;
  readonly totalMs: number;
}
