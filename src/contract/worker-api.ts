/**
 * What the page's side and the model worker say to each other over comlink.
 *
 * Every long call carries an operation id that the caller chose, so that it can be cancelled: an AbortSignal does not clone.
 * Callbacks are top-level arguments, because comlink proxies nothing deeper.
 */
import type { CacheEntry, CacheRemoval, CacheSelector, CacheUsage, VerifyProgress, VerifyResult } from './cache.ts';
import type { LoadErrorData } from './errors.ts';
import type { ChatOptions, GeneratedToken, GenerateOptions, GenerateReport, Prompt } from './generate.ts';
import type { AdapterInfo, LoadEvent, LoadReport, LoadRequest, ModelInfo, PlanSummary } from './load.ts';
import type { MemoryUse } from './memory.ts';
import type { ModelState } from './model-state.ts';

/** Names one running call within one worker. */
export type OperationId = number;

/** Names one loaded model within one worker. */
export type ModelHandle = number;

/** Where models come from. */
export interface SourceConfig {
  /** A Hugging Face compatible endpoint, without a trailing slash. */
  readonly endpoint: string;
  /** Sent to the endpoint's own origin only; kept in memory only. */
  readonly token: string | null;
  /** Folder with a `models/index.json`, as an absolute URL; null where the page brings no models. */
  readonly bundledBaseUrl: string | null;
}

/** A model that came with the page. */
export interface BundledModel {
  readonly modelId: string;
  readonly sizeBytes: number;
}

/** What a load gives the page's side. */
export interface LoadedModel {
  readonly handle: ModelHandle;
  readonly info: ModelInfo;
  readonly report: LoadReport;
}

/** The cache, as the model worker tends it: see `ModelCache` of the client for what each call does. */
export interface CacheWorkerApi {
  cacheList(): Promise<readonly CacheEntry[]>;
  cacheUsage(): Promise<CacheUsage>;
  cacheDelete(selector: CacheSelector): Promise<CacheRemoval>;
  cacheClear(): Promise<CacheRemoval>;
  cachePin(selector: CacheSelector, pinned: boolean): Promise<boolean>;
  cachePrune(keep: readonly CacheSelector[], includePinned: boolean): Promise<CacheRemoval>;
  /** Null: everything. */
  cacheVerify(
    operation: OperationId,
    selector: CacheSelector | null,
    onProgress: (progress: VerifyProgress) => void,
  ): Promise<VerifyResult>;
}

/** One load's way to the fetch worker. What is said over the port is the pipeline's own affair. */
export interface FetchPort {
  readonly connection: number;
  readonly port: MessagePort;
}

/** The page's side of the fetch worker, which all loads of the page share: how a model worker comes to it. */
export interface FetchDoor {
  /** A way to the worker, which is started where there is none. `onEnd` is told its death. @throws LoadError as a load does */
  open(onEnd: (error: LoadErrorData) => void): Promise<FetchPort>;
  /** Ends what runs over that way; resolves when nothing of it runs and nothing of it is locked. */
  close(connection: number): Promise<void>;
}

/** The fetch worker's side, as far as the page talks to it. */
export interface FetchWorkerApi {
  connect(connection: number, port: MessagePort): void;
  /** Resolves when nothing of the connection runs, and nothing of it is locked. */
  disconnect(connection: number): Promise<void>;
  /** Resolves when the worker can be terminated without loss. */
  shutDown(): Promise<void>;
}

/** The model worker's side. */
export interface ModelWorkerApi extends CacheWorkerApi {
  /** Comes before every other call. */
  start(door: FetchDoor): void;
  adapter(): Promise<AdapterInfo | null>;
  bundled(operation: OperationId, source: SourceConfig): Promise<readonly BundledModel[]>;
  plan(
    operation: OperationId,
    source: SourceConfig,
    request: LoadRequest,
    onEvent: (event: LoadEvent) => void,
  ): Promise<PlanSummary>;
  load(
    operation: OperationId,
    source: SourceConfig,
    request: LoadRequest,
    onEvent: (event: LoadEvent) => void,
    /** Called for as long as the model lives, whenever its state is another than before. */
    onState: (state: ModelState) => void,
  ): Promise<LoadedModel>;
  generate(
    operation: OperationId,
    model: ModelHandle,
    prompt: Prompt,
    options: GenerateOptions,
    onToken: (token: GeneratedToken) => void,
  ): Promise<GenerateReport>;
  logits(operation: OperationId, model: ModelHandle, prompt: Prompt, options: ChatOptions): Promise<Float32Array>;
  tokenize(model: ModelHandle, prompt: Prompt, options: ChatOptions): Promise<number[]>;
  detokenize(model: ModelHandle, ids: readonly number[], keepSpecialTokens: boolean): Promise<string>;
  memory(model: ModelHandle): Promise<MemoryUse>;
  /** Fires the operation's signal; the call itself then rejects with `aborted`. Unknown ids are ignored. */
  cancel(operation: OperationId): Promise<void>;
  disposeModel(model: ModelHandle): Promise<void>;
}

/**
 * How the names of model workers begin. Each holds a Web Lock of its name for as long as it lives, so that its death is noticed, and
 * so that others of this origin (the service worker) see whether there is a model.
 */
export const MODEL_WORKER_PREFIX = 'firstlight:model-worker:';
