/**
 * What the model worker offers the page: operations by id, models by handle.
 *
 * In: calls of {@link ModelWorkerApi}. Out: plain data. Guarantees: every operation can be cancelled by its id for as long as
 * it runs; a load that fails or is cancelled leaves nothing behind.
 */
import { releaseProxy } from 'comlink';
import type { ProxyMethods } from 'comlink';
import { Operations } from '../base/linked-worker.ts';
import { checkWasm } from '../base/wasm-support.ts';
import type {
  CacheEntry,
  CacheRemoval,
  CacheSelector,
  CacheUsage,
  VerifyProgress,
  VerifyResult,
} from '../contract/cache.ts';
import { LoadError } from '../contract/errors.ts';
import type { ChatOptions, GeneratedToken, GenerateOptions, GenerateReport, Prompt } from '../contract/generate.ts';
import type { AdapterInfo, LoadEvent, LoadRequest, PlanSummary } from '../contract/load.ts';
import type { MemoryUse } from '../contract/memory.ts';
import type { ModelState } from '../contract/model-state.ts';
import type {
  BundledModel,
  FetchDoor,
  LoadedModel,
  ModelHandle,
  ModelWorkerApi,
  OperationId,
  SourceConfig,
} from '../contract/worker-api.ts';
import { listBundledModels } from '../hub/bundled-index.ts';
import { describeAdapter } from '../runtime/gpu/adapter.ts';
import { wasmHeapBytes } from '../runtime/ort/wasm-heap.ts';
import { CacheService } from './cache-service.ts';
import { loadModel, planModel, remakeModel } from './load.ts';
import type { Environment } from './resolve/repository.ts';
import { LastingModel } from './serve/lasting-model.ts';

/** See the file's header. */
export class ModelService implements ModelWorkerApi {
  readonly #operations = new Operations();
  readonly #models = new Map<ModelHandle, { readonly model: LastingModel; readonly states: Delivery<ModelState> }>();
  readonly #cache = new CacheService();
  #fetchDoor: FetchDoor | null = null;
  #nextHandle: ModelHandle = 1;

  start(door: FetchDoor): void {
    this.#fetchDoor = door;
  }

  async adapter(): Promise<AdapterInfo | null> {
    return (await describeAdapter()).adapter;
  }

  bundled(operation: OperationId, source: SourceConfig): Promise<readonly BundledModel[]> {
    return this.#operations.run(operation, async (signal) =>
      source.bundledBaseUrl === null ? [] : listBundledModels(source.bundledBaseUrl, { signal }),
    );
  }

  plan(
    operation: OperationId,
    source: SourceConfig,
    request: LoadRequest,
    onEvent: (event: LoadEvent) => void,
  ): Promise<PlanSummary> {
    return this.#operations.run(operation, (signal) => {
      const events = new Delivery(onEvent);
      const context = { request, source, signal, environment: this.#environment() };
      return planModel(context, events.send).finally(events.settle);
    });
  }

  load(
    operation: OperationId,
    source: SourceConfig,
    request: LoadRequest,
    onEvent: (event: LoadEvent) => void,
    onState: (state: ModelState) => void,
  ): Promise<LoadedModel> {
    return this.#operations.run(operation, async (signal) => {
      const events = new Delivery(onEvent);
      const states = new Delivery(onState);
      const context = { request, source, signal, environment: this.#environment() };
      try {
        const served = await loadModel(context, events.send);
        const { info, report } = served;
        const model = new LastingModel(served, {
          remake: (either) => remakeModel({ ...context, signal: either }, info, report),
          onState: states.send,
        });
        const handle = this.#nextHandle++;
        this.#models.set(handle, { model, states });
        return { handle, info, report };
      } catch (error) {
        await states.settle();
        throw error;
      } finally {
        await events.settle();
      }
    });
  }

  generate(
    operation: OperationId,
    model: ModelHandle,
    prompt: Prompt,
    options: GenerateOptions,
    onToken: (token: GeneratedToken) => void,
  ): Promise<GenerateReport> {
    return this.#operations.run(operation, (signal) => {
      const tokens = new Delivery(onToken);
      return this.#model(model).generate(prompt, options, tokens.send, signal).finally(tokens.settle);
    });
  }

  logits(operation: OperationId, model: ModelHandle, prompt: Prompt, options: ChatOptions): Promise<Float32Array> {
    return this.#operations.run(operation, (signal) => this.#model(model).logits(prompt, options, signal));
  }

  async tokenize(model: ModelHandle, prompt: Prompt, options: ChatOptions): Promise<number[]> {
    return this.#model(model).tokenize(prompt, options);
  }

  async detokenize(model: ModelHandle, ids: readonly number[], keepSpecialTokens: boolean): Promise<string> {
    return this.#model(model).detokenize(ids, keepSpecialTokens);
  }

  async memory(model: ModelHandle): Promise<MemoryUse> {
    return { ...this.#model(model).memory(), wasmHeapBytes: wasmHeapBytes() };
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
    return this.#operations.run(operation, async (signal) => {
      checkWasm(); // what hashes
      const progress = new Delivery(onProgress);
      return this.#cache.verify(selector, signal, progress.send).finally(progress.settle);
    });
  }

  async cancel(operation: OperationId): Promise<void> {
    this.#operations.cancel(operation);
  }

  async disposeModel(model: ModelHandle): Promise<void> {
    const entry = this.#models.get(model);
    this.#models.delete(model);
    try {
      await entry?.model.dispose();
    } finally {
      await entry?.states.settle();
    }
  }

  #environment(): Environment {
    if (!this.#fetchDoor) throw new LoadError('internal', { message: 'The model worker was called before its start.' });
    return { fetchDoor: this.#fetchDoor };
  }

  #model(handle: ModelHandle): LastingModel {
    const entry = this.#models.get(handle);
    if (!entry) throw new LoadError('disposed', { stage: 'serve' });
    return entry.model;
  }
}

/**
 * A callback of the page. Its messages have a port of their own, which nothing orders against the answer of the call that
 * they belong to: `settle` waits until the page has had the last one, and closes the port (left to the garbage collector,
 * a thousand requests are a thousand ports).
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
    (this.#callback as unknown as Partial<ProxyMethods>)[releaseProxy]?.();
  };
}
