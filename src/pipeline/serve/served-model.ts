/**
 * Stage 8: a warm model that answers requests, one after another.
 *
 * In: the decoder, the tokenizer and the configs. Out: {@link ServedModel}. Guarantees: requests never overlap on the device;
 * one that waits can be cancelled as well; dispose ends what runs, then gives everything back.
 */
import { throwIfAborted } from '../../base/abort.ts';
import { Semaphore } from '../../base/concurrency.ts';
import { LoadError } from '../../contract/errors.ts';
import type { GeneratedToken, GenerateOptions, GenerateReport, Prompt } from '../../contract/generate.ts';
import type { ModelInfo, LoadReport } from '../../contract/load.ts';
import { contextExceeded } from './cached-decoder.ts';
import { completeSettings } from './generate-settings.ts';
import { runGeneration } from './generator.ts';
import type { GeneratorParts } from './generator-parts.ts';
import type { TextTokenizer } from './text-tokenizer.ts';

/** What stage 8 is made from. */
export interface ServeParts extends Omit<GeneratorParts, 'decodeText' | 'vocabSize'> {
  readonly tokenizer: TextTokenizer;
  /** generation_config.json over config.json's token ids. */
  readonly generationConfig: Readonly<Record<string, unknown>>;
  readonly info: ModelInfo;
  readonly report: LoadReport;
}

/** See the file's header. */
export class ServedModel {
  readonly info: ModelInfo;
  readonly report: LoadReport;
  readonly #parts: ServeParts;
  readonly #turn = new Semaphore(1);
  readonly #disposal = new AbortController();

  constructor(parts: ServeParts) {
    this.#parts = parts;
    this.info = parts.info;
    this.report = parts.report;
  }

  /** @throws LoadError `invalid_argument`, `tokenizer_missing`, `context_exceeded`, `aborted`, `disposed`, `device_lost` … */
  async generate(
    prompt: Prompt,
    options: GenerateOptions,
    onToken: (token: GeneratedToken) => void,
    signal: AbortSignal,
  ): Promise<GenerateReport> {
    const startMs = performance.now();
    const { tokenizer, generationConfig } = this.#parts;
    const { contextTokens, vocabSize } = this.info;
    const promptIds = tokenizer.encodePrompt(prompt, vocabSize);
    if (promptIds.length >= contextTokens) throw contextExceeded(promptIds.length, contextTokens);
    const settings = completeSettings(options, generationConfig, contextTokens - promptIds.length);
    const generator = { ...this.#parts, vocabSize, decodeText: (ids: readonly number[]) => tokenizer.decode(ids) };
    let firstTokenMs = 0;
    return this.#exclusively(signal, async (either) => {
      const result = await runGeneration(
        generator,
        promptIds,
        settings,
        (token) => {
          firstTokenMs ||= performance.now() - startMs;
          onToken(token);
        },
        either,
      );
      return { promptTokens: promptIds.length, ...result, firstTokenMs, totalMs: performance.now() - startMs };
    });
  }

  /** Logits [vocabSize] after the last token of `prompt`. */
  async logits(prompt: Prompt, signal: AbortSignal): Promise<Float32Array> {
    const ids = this.tokenize(prompt);
    return this.#exclusively(signal, (either) => this.#parts.decoder.logitsFor(ids, either));
  }

  tokenize(prompt: Prompt): number[] {
    return this.#parts.tokenizer.encodePrompt(prompt, this.info.vocabSize);
  }

  detokenize(ids: readonly number[], keepSpecialTokens: boolean): string {
    return this.#parts.tokenizer.decode(ids, keepSpecialTokens);
  }

  async dispose(): Promise<void> {
    if (this.#disposal.signal.aborted) return;
    this.#disposal.abort(new LoadError('disposed'));
    await this.#turn.use(() => this.#parts.decoder.release());
  }

  /** Runs `work` in its turn, with a signal that fires on the caller's abort and on dispose. */
  async #exclusively<T>(signal: AbortSignal, work: (signal: AbortSignal) => Promise<T>): Promise<T> {
    const disposal = this.#disposal.signal;
    const either = AbortSignal.any([signal, disposal]);
    return this.#turn.use(async () => {
      if (disposal.aborted) throw new LoadError('disposed', { stage: 'serve' });
      throwIfAborted(either);
      try {
        return await work(either);
      } catch (error) {
        throw isDisposal(disposal) ? new LoadError('disposed', { stage: 'serve', cause: error }) : error;
      }
    });
  }
}

/** A function, because TypeScript takes what it saw before an await for what holds after it. */
function isDisposal(signal: AbortSignal): boolean {
  return signal.aborted;
}
