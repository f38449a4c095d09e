/**
 * A loaded model, as the page holds it.
 */
import * as Comlink from 'comlink';
import type { WorkerLink } from '../base/worker-link.ts';
import { LoadError } from '../contract/errors.ts';
import type { ChatOptions, GeneratedToken, GenerateOptions, GenerateReport, Prompt } from '../contract/generate.ts';
import type { LoadReport, ModelInfo } from '../contract/load.ts';
import type { MemoryUse } from '../contract/memory.ts';
import type { ModelState } from '../contract/model-state.ts';
import type { LoadedModel, ModelWorkerApi } from '../contract/worker-api.ts';
import { callPage } from './page-callback.ts';
import type { StateFeed } from './state-feed.ts';
import { TokenQueue } from './token-queue.ts';

/** {@link GenerateOptions} and what does not cross to the worker. */
export interface GenerateCallOptions extends GenerateOptions {
  readonly signal?: AbortSignal;
  /** Called once, when the generation has ended by itself. */
  readonly onReport?: (report: GenerateReport) => void;
}

/** A model that is ready for requests. */
export interface Model {
  /** What it is: id, commit, dtype, device, context (which a rebuild on another GPU may have shortened). */
  readonly info: ModelInfo;
  /** What loading it did, in numbers; after a rebuild, what that did. */
  readonly report: LoadReport;
  /** Whether it takes requests: a model whose GPU device is lost is rebuilt by itself, and requests wait for that. */
  readonly state: ModelState;
  /** Calls `listener` whenever {@link state} has become another. Yields a function that ends that. */
  onStateChange(listener: (state: ModelState) => void): () => void;
  /**
   * Generates from a prompt: text, a conversation, or token ids. Yields each token as it comes; leaving the loop cancels.
   * Requests of one model run one after another.
   * @throws LoadError `invalid_argument`, `tokenizer_missing`, `chat_template_failed`, `context_exceeded`, `aborted`, `device_lost` (the model is
   *   then being rebuilt: the same call can be made at once, and waits), `out_of_memory` (on a GPU it is rebuilt too),
   *   `runtime_failed`, `worker_died`, `disposed`
   */
  generate(prompt: Prompt, options?: GenerateCallOptions): AsyncIterableIterator<GeneratedToken>;
  /** Logits [vocabSize] after the last token of the prompt; float32. Errors as {@link generate}. */
  logits(prompt: Prompt, options?: ChatOptions & { readonly signal?: AbortSignal }): Promise<Float32Array>;
  /** Token ids of a prompt, special tokens and chat template included. */
  tokenize(prompt: Prompt, options?: ChatOptions): Promise<number[]>;
  /** Text of token ids; special tokens are left out unless `keepSpecialTokens`. */
  detokenize(ids: readonly number[], options?: { readonly keepSpecialTokens?: boolean }): Promise<string>;
  /** The memory that it holds now, bytes: GPU buffers by purpose, and the runtime's heap. @throws LoadError `disposed` */
  memory(): Promise<MemoryUse>;
  /** Ends what runs and gives back every buffer. Calling it again does nothing. */
  dispose(): Promise<void>;
}

/** @internal `letGo` tells the worker that one model fewer needs it. */
export function createModel(
  link: WorkerLink<ModelWorkerApi>,
  loaded: LoadedModel,
  states: StateFeed,
  letGo: () => void,
): Model {
  const { handle } = loaded;
  states.begin(loaded);
  let disposing: Promise<void> | null = null;
  const assertAlive = (): void => {
    if (disposing) throw new LoadError('disposed', { stage: 'serve' });
  };
  return {
    get info() {
      return states.info;
    },
    get report() {
      return states.report;
    },
    get state() {
      return states.state;
    },
    onStateChange: (listener) => states.listen(listener),
    generate(prompt, { signal, onReport, ...options } = {}) {
      const leave = new AbortController();
      const queue = new TokenQueue<GeneratedToken>(() => leave.abort());
      const either = signal ? AbortSignal.any([signal, leave.signal]) : leave.signal;
      const run = async (): Promise<void> => {
        try {
          assertAlive();
          const onToken = Comlink.proxy((token: GeneratedToken) => queue.push(token));
          const result = await link.call((api, id) => api.generate(id, handle, prompt, options, onToken), either);
          if (onReport) callPage(onReport, result);
          queue.finish();
        } catch (error) {
          queue.fail(error);
        }
      };
      void run();
      return queue;
    },
    async logits(prompt, { signal, ...options } = {}) {
      assertAlive();
      return link.call((api, id) => api.logits(id, handle, prompt, options), signal);
    },
    async tokenize(prompt, options = {}) {
      assertAlive();
      return link.call((api) => api.tokenize(handle, prompt, options));
    },
    async detokenize(ids, { keepSpecialTokens = false } = {}) {
      assertAlive();
      return link.call((api) => api.detokenize(handle, ids, keepSpecialTokens));
    },
    async memory() {
      assertAlive();
      return link.call((api) => api.memory(handle));
    },
    dispose() {
      disposing ??= link
        .call((api) => api.disposeModel(handle))
        .catch((error: unknown) => {
          // A worker that died, or a loader that was disposed, has given everything back already.
          if (!(error instanceof LoadError) || !['worker_died', 'disposed'].includes(error.code)) throw error;
        })
        .finally(letGo);
      return disposing;
    },
  };
}
