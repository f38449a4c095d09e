/**
 * What the model worker offers the page: operations by id, models by handle.
 *
 * In: calls of {@link ModelWorkerApi}. Out: plain data. Guarantees: every operation can be cancelled by its id for as long as
 * it runs; a load that fails or is cancelled leaves nothing behind.
 */
import type {
  CacheEntry,
  CacheRemoval,
  CacheSelector,
  CacheUsage,
  VerifyProgress,
  VerifyResult,
} from '../contract/cache.ts';
import { LoadError } from '../contract/errors.ts';
import type { GeneratedToken, GenerateOptions, GenerateReport, Prompt } from '../contract/generate.ts';
import type { AdapterInfo, LoadEvent, LoadRequest } from '../contract/load.ts';
import type { LoadPlan } from '../contract/plan.ts';
import type {
  BundledModel,
  LoadedModel,
  ModelHandle,
  ModelWorkerApi,
  OperationId,
  SourceConfig,
} from '../contract/worker-api.ts';
import { listBundledModels } from '../hub/bundled-index.ts';
import { describeAdapter } from '../runtime/gpu.ts';
import { CacheService } from './cache-service.ts';
import { loadModel, planModel } from './load.ts';
import type { Environment } from './repository.ts';
import type { ServedModel } from './serve/served-model.ts';

/** See the file's header. */
export class ModelService implements ModelWorkerApi {
  readonly #operations = new Map<OperationId, AbortController>();
  readonly #models = new Map<ModelHandle, ServedModel>();
  readonly #cache = new CacheService();
  readonly #environment: Environment;
  #nextHandle: ModelHandle = 1;

  constructor(environment: Environment) {
    this.#environment = environment;
  }

  adapter(): Promise<AdapterInfo | null> {
    return describeAdapter();
  }

  bundled(operation: OperationId, source: SourceConfig): Promise<readonly BundledModel[]> {
    return this.#run(operation, async (signal) =>
      source.bundledBaseUrl === null ? [] : listBundledModels(source.bundledBaseUrl, { signal }),
    );
  }

  plan(operation: OperationId, source: SourceConfig, request: LoadRequest): Promise<LoadPlan> {
    return this.#run(operation, (signal) => planModel({ request, source, signal, environment: this.#environment }));
  }

  load(
    operation: OperationId,
    source: SourceConfig,
    request: LoadRequest,
    onEvent: (event: LoadEvent) => void,
  ): Promise<LoadedModel> {
    return this.#run(operation, async (signal) => {
      const events = new Delivery(onEvent);
      const model = await loadModel({ request, source, signal, environment: this.#environment }, events.send).finally(
        events.settle,
      );
      const handle = this.#nextHandle++;
      this.#models.set(handle, model);
      return { handle, info: model.info, report: model.report };
    });
  }

  generate(
    operation: OperationId,
    model: ModelHandle,
    prompt: Prompt,
    options: GenerateOptions,
    onToken: (token: GeneratedToken) => void,
  ): Promise<GenerateReport> {
    return this.#run(operation, (signal) => {
      const tokens = new Delivery(onToken);
      return this.#model(model).generate(prompt, options, tokens.send, signal).finally(tokens.settle);
    });
  }

  logits(operation: OperationId, model: ModelHandle, prompt: Prompt): Promise<Float32Array> {
    return this.#run(operation, (signal) => this.#model(model).logits(prompt, signal));
  }

  async tokenize(model: ModelHandle, prompt: Prompt): Promise<number[]> {
    return this.#model(model).tokenize(prompt);
  }

  async detokenize(model: ModelHandle, ids: readonly number[], keepSpecialTokens: boolean): Promise<string> {
    return this.#model(model).detokenize(ids, keepSpecialTokens);
  }

  cacheList(): Promise<readonly CacheEntry[]> {
    return this.#cache.list();
  }

  cacheUsage(): Promise<CacheUsage> {
    return this.#cache.usage();
  }

  cacheDelete(selector: CacheSelector): Promise<CacheRemoval> {
    return this.#cache.delete(selector);
  }

  cacheClear(): Promise<CacheRemoval> {
    return this.#cache.clear();
  }

  cachePin(selector: CacheSelector, pinned: boolean): Promise<boolean> {
    return this.#cache.pin(selector, pinned);
  }

  cachePrune(keep: readonly CacheSelector[], includePinned: boolean): Promise<CacheRemoval> {
    return this.#cache.prune(keep, includePinned);
  }

  cacheVerify(
    operation: OperationId,
    selector: CacheSelector | null,
    onProgress: (progress: VerifyProgress) => void,
  ): Promise<VerifyResult> {
    return this.#run(operation, (signal) => {
      const progress = new Delivery(onProgress);
      return this.#cache.verify(selector, signal, progress.send).finally(progress.settle);
    });
  }

  async cancel(operation: OperationId): Promise<void> {
    this.#operations.get(operation)?.abort(new DOMException('Cancelled by the page.', 'AbortError'));
  }

  async disposeModel(model: ModelHandle): Promise<void> {
    const served = this.#models.get(model);
    this.#models.delete(model);
    await served?.dispose();
  }

  #model(handle: ModelHandle): ServedModel {
    const model = this.#models.get(handle);
    if (!model) throw new LoadError('disposed', { stage: 'serve' });
    return model;
  }

  async #run<T>(operation: OperationId, work: (signal: AbortSignal) => Promise<T>): Promise<T> {
    const controller = new AbortController();
    this.#operations.set(operation, controller);
    try {
      return await work(controller.signal);
    } finally {
      this.#operations.delete(operation);
    }
  }
}

/**
 * A callback of the page. Its messages have a port of their own, which nothing orders against the answer of the call that
 * they belong to: `settle` waits until the page has had the last one.
 */
class Delivery<T> {
  readonly #callback: (item: T) => unknown;
  #last: Promise<unknown> = Promise.resolve();

  constructor(callback: (item: T) => unknown) {
    this.#callback = callback;
  }

  readonly send = (item: T): void => {
    // What the page's callback throws is the page's affair.
    this.#last = Promise.resolve(this.#callback(item)).catch(() => undefined);
  };

  readonly settle = async (): Promise<void> => {
    await this.#last;
  };
}
