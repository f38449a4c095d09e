/**
 * Stage 8: a warm model on its device, which answers one request at a time.
 *
 * In: the decoder, the tokenizer and the configs. Out: {@link ServedModel}. Its caller sees to it that requests do not overlap
 * and makes another one when the device is lost: see `lasting-model.ts`.
 */
import type { ChatOptions, GeneratedToken, GenerateOptions, GenerateReport, Prompt } from '../../contract/generate.ts';
import type { ModelInfo, LoadReport } from '../../contract/load.ts';
import type { DeviceMemory } from '../../contract/memory.ts';
import { listEndTokens } from './end-tokens.ts';
import { completeSettings } from './generate-settings.ts';
import { runGeneration } from './generator.ts';
import type { GenerationDefaults } from './generation-defaults.ts';
import type { GeneratorParts } from './generator-parts.ts';
import type { TextTokenizer } from '../texts/text-tokenizer.ts';

/** What stage 8 is made from. */
export interface ServeParts extends Omit<GeneratorParts, 'openText' | 'vocabSize'> {
  readonly tokenizer: TextTokenizer;
  /** generation_config.json; null where there is none, or it is damaged. */
  readonly generationConfig: Readonly<Record<string, unknown>> | null;
  /** What the repository says of how to generate. */
  readonly defaults: GenerationDefaults;
  readonly info: ModelInfo;
  readonly report: LoadReport;
}

/** See the file's header. */
export class ServedModel {
  readonly info: ModelInfo;
  readonly report: LoadReport;
  /** Resolves with the reason once its GPU device is lost; null where it has none. */
  readonly lost: Promise<string> | null;
  readonly #parts: ServeParts;
  readonly #eosIds: ReadonlySet<number>;
  #released: Promise<void> | null = null;

  constructor(parts: ServeParts) {
    this.#parts = parts;
    this.info = parts.info;
    this.report = parts.report;
    this.#eosIds = listEndTokens({ ...parts, tokenizerEosId: parts.tokenizer.eosId }, parts.info.vocabSize);
    this.lost = parts.decoder.gpu?.lost ?? null;
  }

  /**
   * `startMs`, of `performance.now()`, is when the request came: it may have waited.
   * @throws LoadError `invalid_argument`, `tokenizer_missing`, `context_exceeded`, `aborted`, `device_lost` …
   */
  async generate(
    prompt: Prompt,
    options: GenerateOptions,
    onToken: (token: GeneratedToken) => void,
    signal: AbortSignal,
    startMs: number,
  ): Promise<GenerateReport> {
    const { tokenizer, defaults, decoder } = this.#parts;
    const { vocabSize } = this.info;
    const promptIds = tokenizer.encodePrompt(prompt, vocabSize, options);
    const roomTokens = decoder.maxContextTokens - promptIds.length;
    if (roomTokens < 1) throw decoder.contextExceeded(promptIds.length, decoder.explainCeiling());
    const start = { defaults, eosIds: this.#eosIds, promptTokens: promptIds.length, roomTokens };
    const settings = completeSettings(options, start);
    // For the prompt and a token; the answer grows the cache when it gets there, however much may be asked for.
    const obstacle = await decoder.makeRoom(promptIds, 1, signal);
    if (obstacle !== null) throw decoder.contextExceeded(promptIds.length, obstacle);
    const generator = { ...this.#parts, vocabSize, openText: (ids: readonly number[]) => tokenizer.openBehind(ids) };
    let firstTokenMs = 0;
    const result = await runGeneration(
      generator,
      promptIds,
      settings,
      (token) => {
        firstTokenMs ||= performance.now() - startMs;
        onToken(token);
      },
      signal,
    );
    return { promptTokens: promptIds.length, ...result, firstTokenMs, totalMs: performance.now() - startMs };
  }

  /** Logits [vocabSize] after the last token of `prompt`. */
  async logits(prompt: Prompt, options: ChatOptions, signal: AbortSignal): Promise<Float32Array> {
    return this.#parts.decoder.logitsFor(this.tokenize(prompt, options), signal);
  }

  tokenize(prompt: Prompt, options: ChatOptions): number[] {
    return this.#parts.tokenizer.encodePrompt(prompt, this.info.vocabSize, options);
  }

  detokenize(ids: readonly number[], keepSpecialTokens: boolean): string {
    return this.#parts.tokenizer.decode(ids, keepSpecialTokens);
  }

  /** What it holds now. */
  memory(): DeviceMemory {
    const { decoder } = this.#parts;
    return {
      gpu: decoder.gpu?.memory() ?? null,
      contextTokens: decoder.contextTokens,
      conversations: decoder.conversationCount,
    };
  }

  /** Gives the device back; the tokenizer still works. Calling it again does nothing. */
  release(): Promise<void> {
    this.#released ??= this.#parts.decoder.release();
    return this.#released;
  }
}
