/**
 * The page's way in: plans and loads models in a worker.
 *
 * Guarantees: the page's thread does no work but painting; the worker starts at the first call and ends with the last model
 * (so that even the WASM heap is given back), or with {@link Loader.dispose}. A loader can be made in every realm; where
 * models cannot be loaded, its calls say why.
 */
import * as Comlink from 'comlink';
import { WorkerLink } from '../base/worker-link.ts';
import { LoadError } from '../contract/errors.ts';
import type {
  AdapterInfo,
  CacheMode,
  ContextRange,
  LoadEvent,
  LoadRequest,
  SimulatedLimits,
  PlanSummary,
} from '../contract/load.ts';
import { DEFAULT_ENDPOINT } from '../contract/model-name.ts';
import type { BundledModel, ModelWorkerApi, SourceConfig } from '../contract/worker-api.ts';
import { createModelCache } from './cache.ts';
import type { ModelCache } from './cache.ts';
import { baseAddress, countTouchPoints, checkEnvironment, toFetchable } from './environment.ts';
import { fetchHost } from './fetch-host.ts';
import { type InterruptedLoad, readInterruptedLoad, watchLoad } from './load-mark.ts';
import { toNamedOrigin } from './model-source.ts';
import type { ModelSource } from './model-source.ts';
import { createModel } from './model.ts';
import type { Model } from './model.ts';
import { toPageCallback } from './page-callback.ts';
import { MODEL_WORKER } from './page-workers.ts';
import { StateFeed } from './state-feed.ts';

export type { Model };

type ModelLink = WorkerLink<ModelWorkerApi>;

/** Where a loader takes models from. */
export interface LoaderOptions {
  readonly hub?: {
    /** Any Hugging Face compatible endpoint: an absolute http(s) address. Default `https://huggingface.co`. */
    readonly endpoint?: string;
    /** Access token for private and gated repositories. Sent to the endpoint's origin only, never stored. */
    readonly token?: string;
  };
  /**
   * Folder whose `models/index.json` lists models that the page brings; absolute, or relative to the page. Default null: none.
   * A model that is listed there is loaded from there, whatever the hub has under its id.
   */
  readonly bundledBaseUrl?: string | null;
}

/** What a plan or a load may be asked for. */
export interface PlanOptions {
  /** Branch, tag or commit, of a model that is named by its id. Default: the one that its address names, else `main`. */
  readonly revision?: string;
  /** Default `auto`: the plan chooses, and says why. */
  readonly dtype?: LoadRequest['dtype'];
  /** Default `auto`: WebGPU where there is a GPU and the model fits it, else WASM. Software GPUs are taken only on request. */
  readonly device?: LoadRequest['device'];
  /**
   * Room for prompt and answer together, in tokens. A number: exactly that much, reserved before anything is downloaded (less
   * only where the checkpoint or the device's limits allow no more; the plan says so). A range: what is reserved, and what it may
   * grow to by itself, as far as the device has room then. Default: 2048, growing up to what the checkpoint was made for.
   */
  readonly contextTokens?: number | ContextRange;
  /**
   * How many conversations keep their KV cache at once, 1 to 16, the running one included: going back to one of them costs its
   * new tokens only. Default 2. Where the GPU has no room, fewer are kept ({@link LoadReport.memory} says how many).
   */
  readonly conversations?: number;
  /**
   * Default `auto`: the repository's own tokenizer and chat template. One that cannot be read is an error (`tokenizer_unsupported`
   * in the plan, `tokenizer_invalid` before most of the download); a repository that has no file of a tokenizer at all gives a model
   * that takes token ids only ({@link PlanSummary.tokenizer} is null). `none`: such a model in any case; no file of a tokenizer is read.
   */
  readonly tokenizer?: LoadRequest['tokenizer'];
  /** For testing: plan and load as on a GPU with smaller limits. */
  readonly simulatedLimits?: SimulatedLimits;
  /** Ask the network for nothing. Default false: the cache is used without it only when the network is away. */
  readonly offline?: boolean;
  /**
   * Default `auto`: what is downloaded is kept for the next load; where the browser gives the page no storage (a private window,
   * blocked site data) or too little, the model is loaded without, and plan, notices and report say so. `required`: then the load
   * fails instead. `none`: nothing is kept, and nothing of the cache is read.
   */
  readonly cache?: CacheMode;
  readonly signal?: AbortSignal;
  /**
   * Called for everything that happens; see {@link LoadEvent} for what may be relied on. The call waits for nothing that it
   * does: what it throws goes where the page's uncaught errors go.
   */
  readonly onProgress?: (event: LoadEvent) => void;
}

/** What a load may be asked for: the same as a plan. */
export type LoadOptions = PlanOptions;

/**
 * Plans and loads models.
 *
 * Every call may throw LoadError `insecure_context` (plain http, other than localhost), `environment_unsupported` (a realm
 * that cannot start workers), `blocked_by_policy` (a content security policy), `worker_died` and `disposed`.
 */
export interface Loader {
  /**
   * What a load would do and cost, from a few kilobytes of headers; downloads no weights.
   * @throws LoadError as {@link load}, up to stage `plan`
   */
  plan(model: ModelSource, options?: PlanOptions): Promise<PlanSummary>;
  /**
   * Takes a model (an id, an address or a folder) through every stage; resolves when it is warm. Cancelled or failed, it
   * keeps what was downloaded: the same call goes on where this one stopped (see {@link ModelCache} to delete it).
   * @throws LoadError: any code of the closed list; `stage` says where
   */
  load(model: ModelSource, options?: LoadOptions): Promise<Model>;
  /** What was downloaded: list, measure, verify, pin, delete. */
  readonly cache: ModelCache;
  /** The GPU and its limits, null where there is none. */
  adapter(): Promise<AdapterInfo | null>;
  /**
   * The load in which this tab's last page ended without a word, most likely for want of memory; null where there is none, from
   * the end of the next load on, and in workers. Worth asking before a page begins a load by itself.
   */
  interruptedLoad(): InterruptedLoad | null;
  /** The models that the page brings. */
  bundled(): Promise<readonly BundledModel[]>;
  /** Ends the worker and every model with it. */
  dispose(): Promise<void>;
}

/** Makes a {@link Loader}. Nothing happens until its first call. @throws LoadError `invalid_argument` */
export function createLoader(options: LoaderOptions = {}): Loader {
  const source = toSourceConfig(options);
  let link: ModelLink | null = null;
  let disposed = false;

  /** The worker of now: another one where there is none yet, or none any more. */
  const connect = (): ModelLink => {
    if (disposed) throw new LoadError('disposed', { message: 'Make a new loader with createLoader().' });
    if (link === null || link.ended) {
      checkEnvironment();
      link = startModelWorker();
    }
    return link;
  };
  /** Runs `work` on the worker, which lives at least as long as the call. */
  const using = async <T>(work: (worker: ModelLink) => Promise<T>): Promise<T> => {
    const worker = connect();
    const letGo = worker.hold();
    try {
      return await work(worker);
    } finally {
      letGo();
    }
  };

  /** The same, for work that fetches, unless it is from a folder: the fetch worker starts beside the model worker. */
  const fetching = <T>(request: LoadRequest, work: (worker: ModelLink) => Promise<T>): Promise<T> =>
    using(async (worker) => {
      if (request.origin.type === 'folder') return work(worker);
      const letGo = fetchHost.hold();
      try {
        return await work(worker);
      } finally {
        void letGo();
      }
    });

  return {
    async plan(model, planOptions = {}) {
      const request = await toRequest(model, planOptions, source.endpoint);
      const { onProgress, signal } = planOptions;
      const onEvent = Comlink.proxy(toPageCallback(onProgress));
      return fetching(request, (worker) => worker.call((api, id) => api.plan(id, source, request, onEvent), signal));
    },
    async load(model, loadOptions = {}) {
      const request = await toRequest(model, loadOptions, source.endpoint);
      const { onProgress, signal } = loadOptions;
      return fetching(request, async (worker) => {
        const watch = watchLoad();
        const tellPage = toPageCallback(onProgress);
        const onEvent = Comlink.proxy((event: LoadEvent) => {
          watch.note(event);
          tellPage(event);
        });
        const states = new StateFeed();
        const onState = Comlink.proxy(states.push);
        try {
          const loaded = await worker.call((api, id) => api.load(id, source, request, onEvent, onState), signal);
          return createModel(worker, loaded, states, worker.hold()); // the model keeps the worker alive
        } finally {
          watch.end();
        }
      });
    },
    cache: createModelCache(using),
    adapter: () => using((worker) => worker.call((api) => api.adapter())),
    interruptedLoad: readInterruptedLoad,
    bundled: () => using((worker) => worker.call((api, id) => api.bundled(id, source))),
    dispose() {
      disposed = true;
      link?.end(new LoadError('disposed'));
      return Promise.resolve();
    },
  };
}

function startModelWorker(): ModelLink {
  const link = WorkerLink.start<ModelWorkerApi>(MODEL_WORKER);
  const door = fetchHost.openDoor();
  link.onEnd(() => door.shut());
  link.call((api) => api.start(Comlink.proxy(door))).catch(() => undefined); // whatever is called next says why
  return link;
}

function toSourceConfig({ hub = {}, bundledBaseUrl = null }: LoaderOptions): SourceConfig {
  const { endpoint = DEFAULT_ENDPOINT, token } = hub;
  // Not relative to the page, and by HTTP: a hub is another server, wherever the page comes from.
  const hubUrl = /^https?:/iu.test(endpoint) ? toFetchable(endpoint, undefined) : null;
  if (!hubUrl) throw invalidAddress('hub.endpoint', 'an absolute http(s) address', endpoint);
  const ownUrl = bundledBaseUrl === null ? null : toFetchable(bundledBaseUrl, baseAddress());
  if (!ownUrl && bundledBaseUrl !== null) throw invalidAddress('bundledBaseUrl', 'an http(s) address', bundledBaseUrl);
  return {
    endpoint: trimSlashes(hubUrl.href),
    token: token ? token : null,
    bundledBaseUrl: ownUrl && trimSlashes(ownUrl.href),
  };
}

function trimSlashes(url: string): string {
  return url.replace(/\/+$/u, '');
}

function invalidAddress(argument: string, wanted: string, given: string): LoadError {
  return new LoadError('invalid_argument', {
    message: `${argument} must be ${wanted}, and is "${given}".`,
    detail: { argument },
  });
}

async function toRequest(model: ModelSource, options: PlanOptions, endpoint: string): Promise<LoadRequest> {
  const { revision } = options;
  return {
    ...(await toNamedOrigin(model, { revision, endpoint, pageUrl: baseAddress() })),
    dtype: options.dtype ?? 'auto',
    device: options.device ?? 'auto',
    contextTokens: options.contextTokens ?? null,
    conversations: options.conversations ?? null,
    tokenizer: options.tokenizer ?? 'auto',
    simulatedLimits: options.simulatedLimits ?? null,
    offline: options.offline ?? false,
    maxTouchPoints: countTouchPoints(),
    cache: options.cache ?? 'auto',
  };
}
