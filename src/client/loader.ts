/**
 * The page's way in: plans and loads models in a worker.
 *
 * Guarantees: the page's thread does no work but painting; the worker starts at the first call and ends with the last model
 * (so that even the WASM heap is given back), or with {@link Loader.dispose}.
 */
import * as Comlink from 'comlink';
import { LoadError } from '../contract/errors.ts';
import type { AdapterInfo, ContextRange, LoadEvent, LoadRequest, SimulatedLimits } from '../contract/load.ts';
import type { LoadPlan } from '../contract/plan.ts';
import type { BundledModel, SourceConfig } from '../contract/worker-api.ts';
import { createModelCache } from './cache.ts';
import type { ModelCache } from './cache.ts';
import { toNamedOrigin } from './model-source.ts';
import type { ModelSource } from './model-source.ts';
import { createModel } from './model.ts';
import type { Model } from './model.ts';
import { StateFeed } from './state-feed.ts';
import { WorkerLink } from './worker-link.ts';

export type { Model };

/** Where a loader takes models from. */
export interface LoaderOptions {
  readonly hub?: {
    /** Any Hugging Face compatible endpoint. Default `https://huggingface.co`. */
    readonly endpoint?: string;
    /** Access token for private and gated repositories. Sent to the endpoint's origin only, never stored. */
    readonly token?: string;
  };
  /** Folder whose `models/index.json` lists models that the page brings. Default: the page's own folder. Null: none. */
  readonly bundledBaseUrl?: string | null;
}

/** What a plan or a load may be asked for. */
export interface PlanOptions {
  /** Branch, tag or commit, of a model that is named by its id. Default `main`. */
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
  /** For testing: plan and load as on a GPU with smaller limits. */
  readonly simulatedLimits?: SimulatedLimits;
  /** Ask the network for nothing. Default false: the cache is used without it only when the network is away. */
  readonly offline?: boolean;
  readonly signal?: AbortSignal;
  /** Called for everything that happens; see {@link LoadEvent} for what may be relied on. */
  readonly onProgress?: (event: LoadEvent) => void;
}

/** What a load may be asked for: the same as a plan. */
export type LoadOptions = PlanOptions;

/** Plans and loads models. */
export interface Loader {
  /**
   * What a load would do and cost, from a few kilobytes of headers; downloads no weights.
   * @throws LoadError as {@link load}, up to stage `plan`
   */
  plan(model: ModelSource, options?: PlanOptions): Promise<LoadPlan>;
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
  /** The models that the page brings. */
  bundled(): Promise<readonly BundledModel[]>;
  /** Ends the worker and every model with it. */
  dispose(): Promise<void>;
}

const DEFAULT_ENDPOINT = 'https://huggingface.co';

/** Makes a {@link Loader}. Nothing happens until its first call. @throws LoadError `invalid_argument` */
export function createLoader(options: LoaderOptions = {}): Loader {
  const source = toSourceConfig(options);
  let link: WorkerLink | null = null;
  let inUse = 0; // calls that wait and models that live
  let disposed = false;

  const acquire = (): WorkerLink => {
    if (disposed) throw new LoadError('disposed', { message: 'Make a new loader with createLoader().' });
    inUse++;
    return (link ??= new WorkerLink(() => (link = null)));
  };
  const release = (used: WorkerLink): void => {
    inUse--;
    if (inUse > 0 || link !== used) return;
    link = null;
    used.terminate(new LoadError('disposed'));
  };
  /** Runs `work` on the worker, which lives at least as long as the call. */
  const using = async <T>(work: (worker: WorkerLink) => Promise<T>): Promise<T> => {
    const worker = acquire();
    try {
      return await work(worker);
    } finally {
      release(worker);
    }
  };

  return {
    async plan(model, planOptions = {}) {
      const request = await toRequest(model, planOptions);
      const { onProgress, signal } = planOptions;
      const onEvent = Comlink.proxy((event: LoadEvent) => onProgress?.(event));
      return using((worker) => worker.call((api, id) => api.plan(id, source, request, onEvent), signal));
    },
    async load(model, loadOptions = {}) {
      const request = await toRequest(model, loadOptions);
      const { onProgress, signal } = loadOptions;
      return using(async (worker) => {
        const onEvent = Comlink.proxy((event: LoadEvent) => onProgress?.(event));
        const states = new StateFeed();
        const onState = Comlink.proxy(states.push);
        const loaded = await worker.call((api, id) => api.load(id, source, request, onEvent, onState), signal);
        acquire(); // the model keeps the worker alive
        return createModel(worker, loaded, states, () => release(worker));
      });
    },
    cache: createModelCache(using),
    adapter: () => using((worker) => worker.call((api) => api.adapter())),
    bundled: () => using((worker) => worker.call((api, id) => api.bundled(id, source))),
    dispose() {
      disposed = true;
      link?.terminate(new LoadError('disposed'));
      link = null;
      return Promise.resolve();
    },
  };
}

function toSourceConfig({ hub = {}, bundledBaseUrl }: LoaderOptions): SourceConfig {
  const base = bundledBaseUrl === undefined ? new URL('.', document.baseURI).href : bundledBaseUrl;
  return {
    endpoint: toAbsoluteUrl(hub.endpoint ?? DEFAULT_ENDPOINT, 'hub.endpoint'),
    token: hub.token ? hub.token : null,
    bundledBaseUrl: base === null ? null : toAbsoluteUrl(base, 'bundledBaseUrl'),
  };
}

function toAbsoluteUrl(url: string, option: string): string {
  const parsed = URL.canParse(url, document.baseURI) ? new URL(url, document.baseURI) : null;
  if (!parsed || !['http:', 'https:'].includes(parsed.protocol)) {
    throw new LoadError('invalid_argument', { message: `${option} must be an http(s) address, and is "${url}".` });
  }
  return parsed.href.replace(/\/+$/u, '');
}

async function toRequest(model: ModelSource, options: PlanOptions): Promise<LoadRequest> {
  if (typeof model !== 'string' && options.revision !== undefined) {
    throw new LoadError('invalid_argument', {
      message: 'A folder or an address has no revisions: leave "revision" out.',
      detail: { argument: 'revision' },
    });
  }
  return {
    ...(await toNamedOrigin(model, document.baseURI)),
    revision: options.revision ?? 'main',
    dtype: options.dtype ?? 'auto',
    device: options.device ?? 'auto',
    contextTokens: options.contextTokens ?? null,
    conversations: options.conversations ?? null,
    simulatedLimits: options.simulatedLimits ?? null,
    offline: options.offline ?? false,
  };
}
