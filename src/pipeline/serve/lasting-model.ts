/**
 * A model that outlives its device: requests in turn, and another {@link ServedModel} where one was lost.
 *
 * In: a served model, and a way to make it again. Out: {@link LastingModel}. Guarantees:
 * - requests never overlap on the device; one that waits, for its turn or for a rebuild, can be cancelled;
 * - a lost device is noticed at once, also between requests; the request that it interrupts ends in `device_lost`, those
 *   behind it wait for the rebuild;
 * - so is one that had no room in the middle of a request, which ends in `out_of_memory`: the runtime keeps the buffer that it
 *   was not given in its pools, and every later run that takes it from there would fail;
 * - a rebuild is tried a bounded number of times; after that every request fails with what kept it from succeeding;
 * - dispose ends what runs, a rebuild too, and gives everything back.
 */
import { raceAbort } from '../../base/abort.ts';
import { Semaphore } from '../../base/concurrency.ts';
import { retry } from '../../base/retry.ts';
import { isLoadError, LoadError, toErrorData } from '../../contract/errors.ts';
import type { ChatOptions, GeneratedToken, GenerateOptions, GenerateReport, Prompt } from '../../contract/generate.ts';
import type { DeviceMemory } from '../../contract/memory.ts';
import type { ModelState } from '../../contract/model-state.ts';
import type { ServedModel } from './served-model.ts';

/** What a {@link LastingModel} needs of a {@link ServedModel}. */
export type Serving = Pick<
  ServedModel,
  'info' | 'report' | 'lost' | 'generate' | 'logits' | 'tokenize' | 'detokenize' | 'memory' | 'release'
>;

/** How a model is made again. */
export interface Rebuilding {
  /** Makes the same model anew; all stages, from the cache. */
  readonly remake: (signal: AbortSignal) => Promise<Serving>;
  readonly onState: (state: ModelState) => void;
  /** Bound of the first wait between two attempts; default 500. A browser takes about that long to start its GPU process. */
  readonly baseDelayMs?: number;
}

/** A driver that does not come back within these (8 to 16 s of waiting between them) does not come back by itself. */
export const REBUILD_ATTEMPTS = 6;

/** See the file's header. */
export class LastingModel {
  readonly #rebuilding: Rebuilding;
  readonly #turn = new Semaphore(1);
  readonly #disposal = new AbortController();
  #served: Serving;
  /** Fires when the device of `#served` is lost. */
  #loss = new AbortController();
  /** The request that runs; never rejects. */
  #running: Promise<unknown> = Promise.resolve();
  /** Null but while a rebuild is under way; never rejects. */
  #rebuild: Promise<void> | null = null;
  #failure: LoadError | null = null;

  constructor(served: Serving, rebuilding: Rebuilding) {
    this.#rebuilding = rebuilding;
    this.#served = served;
    this.#watch(served);
  }

  /** @throws LoadError `invalid_argument`, `tokenizer_missing`, `context_exceeded`, `aborted`, `disposed`, `device_lost` … */
  generate(
    prompt: Prompt,
    options: GenerateOptions,
    onToken: (token: GeneratedToken) => void,
    signal: AbortSignal,
  ): Promise<GenerateReport> {
    const startMs = performance.now();
    return this.#exclusively(signal, (served, either) => served.generate(prompt, options, onToken, either, startMs));
  }

  /** Logits [vocabSize] after the last token of `prompt`. */
  logits(prompt: Prompt, options: ChatOptions, signal: AbortSignal): Promise<Float32Array> {
    return this.#exclusively(signal, (served, either) => served.logits(prompt, options, either));
  }

  tokenize(prompt: Prompt, options: ChatOptions): number[] {
    return this.#served.tokenize(prompt, options);
  }

  detokenize(ids: readonly number[], keepSpecialTokens: boolean): string {
    return this.#served.detokenize(ids, keepSpecialTokens);
  }

  /** What it holds now. */
  memory(): DeviceMemory {
    return this.#served.memory();
  }

  async dispose(): Promise<void> {
    if (this.#disposal.signal.aborted) return;
    this.#disposal.abort(new LoadError('disposed'));
    await this.#rebuild;
    await this.#turn.use(() => this.#served.release());
  }

  /** Runs `work` in its turn on a model that is ready, with a signal that fires on all that can end it. */
  async #exclusively<T>(signal: AbortSignal, work: (served: Serving, signal: AbortSignal) => Promise<T>): Promise<T> {
    const disposal = this.#disposal.signal;
    const waiting = AbortSignal.any([signal, disposal]);
    try {
      return await this.#turn.use(async () => {
        await raceAbort(this.#rebuild ?? Promise.resolve(), waiting);
        if (this.#failure !== null) throw this.#failure;
        const served = this.#served;
        const loss = this.#loss.signal;
        const running = work(served, AbortSignal.any([signal, disposal, loss]));
        this.#running = running.catch(() => undefined);
        try {
          return await running;
        } catch (error) {
          const isUnusable = loss.aborted || isDeviceLost(error) || (served.lost !== null && isOutOfMemory(error));
          if (signal.aborted || disposal.aborted || !isUnusable) throw error;
          const cause: unknown = loss.aborted ? loss.reason : error;
          this.#loseDevice(served, cause);
          throw interrupted(cause);
        }
      }, waiting);
    } catch (error) {
      throw disposal.aborted ? new LoadError('disposed', { stage: 'serve', cause: error }) : error;
    }
  }

  #watch(served: Serving): void {
    void served.lost?.then((reason) =>
      this.#loseDevice(served, new LoadError('device_lost', { message: reason, stage: 'serve', retryable: true })),
    );
  }

  /** Begins the rebuild, once for each device. */
  #loseDevice(served: Serving, error: unknown): void {
    if (served !== this.#served || this.#loss.signal.aborted || this.#disposal.signal.aborted) return;
    this.#loss.abort(error);
    this.#rebuild = this.#makeAgain(error).finally(() => (this.#rebuild = null));
  }

  async #makeAgain(loss: unknown): Promise<void> {
    const { remake, onState, baseDelayMs = 500 } = this.#rebuilding;
    const disposal = this.#disposal.signal;
    let reason = loss;
    onState({ status: 'rebuilding', attempt: 1, reason: toErrorData(reason) });
    await this.#running;
    await this.#served.release().catch(() => undefined); // whatever it said, its device is gone
    try {
      const served = await retry(
        ({ attempt }) => {
          if (attempt > 0) onState({ status: 'rebuilding', attempt: attempt + 1, reason: toErrorData(reason) });
          return remake(disposal);
        },
        {
          signal: disposal,
          attempts: REBUILD_ATTEMPTS,
          baseDelayMs,
          maxDelayMs: 16 * baseDelayMs,
          onlineEvents: null,
          // Whatever a GPU that comes back may say at first; a rebuild that cannot succeed costs a few seconds more.
          isRetryable: () => true,
          onRetry: ({ error }) => (reason = error),
        },
      );
      this.#served = served; // a dispose that came meanwhile waits for this, then releases it
      this.#loss = new AbortController();
      this.#watch(served);
      onState({ status: 'ready', info: served.info, report: served.report });
    } catch (error) {
      if (disposal.aborted) return;
      this.#failure = notRebuilt(error);
      onState({ status: 'failed', error: toErrorData(this.#failure) });
    }
  }
}

function isDeviceLost(error: unknown): boolean {
  return isLoadError(error) && error.code === 'device_lost';
}

function isOutOfMemory(error: unknown): boolean {
  return isLoadError(error) && error.code === 'out_of_memory';
}

function interrupted(cause: unknown): LoadError {
  if (isLoadError(cause) && cause.code === 'out_of_memory') {
    return new LoadError('out_of_memory', {
      message: `${cause.message} The model is being rebuilt from the cache: send a shorter request, it will wait until that is done.`,
      stage: 'serve',
      detail: { ...cause.detail, rebuilding: true },
      cause,
    });
  }
  return new LoadError('device_lost', {
    message: 'The model is being rebuilt from the cache: send the request again, it will wait until that is done.',
    stage: 'serve',
    retryable: true,
    detail: { rebuilding: true },
    cause,
  });
}

function notRebuilt(error: unknown): LoadError {
  const { code, message, stage, detail } = toErrorData(error);
  const failure = new LoadError(code, { stage, detail: { ...detail, attempts: REBUILD_ATTEMPTS }, cause: error });
  failure.message =
    `The GPU device was lost or had no room, and the model could not be rebuilt in ${REBUILD_ATTEMPTS} attempts. The last one said: ` +
    `${message} Dispose the model and load it again.`;
  return failure;
}
