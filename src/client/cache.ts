/**
 * The cache, as a page tends it.
 *
 * In: a way to run work on the model worker. Out: {@link ModelCache}. Guarantees: the page's thread neither reads nor hashes;
 * the worker lives no longer than the call, unless a model keeps it; a selector is checked before anything is touched, so
 * that a slip never selects more than was meant.
 */
import * as Comlink from 'comlink';
import type { WorkerLink } from '../base/worker-link.ts';
import type {
  CacheEntry,
  CacheRemoval,
  CacheSelector,
  CacheUsage,
  VerifyProgress,
  VerifyResult,
} from '../contract/cache.ts';
import { LoadError } from '../contract/errors.ts';
import type { ModelWorkerApi } from '../contract/worker-api.ts';
import { checkSecure } from './environment.ts';
import { toPageCallback } from './page-callback.ts';

/** Options of {@link ModelCache.prune}. */
export interface PruneOptions {
  /** Default false: what is pinned stays, named or not. */
  readonly includePinned?: boolean;
}

/** Options of {@link ModelCache.verify}. */
export interface VerifyOptions {
  readonly signal?: AbortSignal;
  /** `doneBytes` never falls, `totalBytes` is constant, and both are equal at the end. */
  readonly onProgress?: (progress: VerifyProgress) => void;
}

/**
 * What was downloaded, on this disk: one cache for the whole origin, whatever loader or tab filled it.
 *
 * Every call may throw LoadError `storage_unavailable` (no storage for this page: a private window, blocked site data),
 * `storage_failed`, `worker_died` and `disposed`.
 */
export interface ModelCache {
  /** Every snapshot that loading has touched, most recently used first. */
  list(): Promise<readonly CacheEntry[]>;
  /** Bytes of the cache, of the whole site and of the room for it; whether the browser promised to keep them. */
  usage(): Promise<CacheUsage>;
  /**
   * Deletes a snapshot, or every snapshot of a model, pinned or not, and the bytes that no other snapshot needs. What a tab is
   * loading stays and is named in `inUse`.
   * @throws LoadError `invalid_argument`
   */
  delete(selector: CacheSelector): Promise<CacheRemoval>;
  /** Deletes everything that no tab is loading, pinned or not, leftovers of crashes included. */
  clear(): Promise<CacheRemoval>;
  /**
   * Pins or unpins: what is pinned is neither evicted when room is short nor pruned. False where nothing was selected.
   * @throws LoadError `invalid_argument`
   */
  pin(selector: CacheSelector, pinned: boolean): Promise<boolean>;
  /**
   * Deletes what `keep` does not name; an empty list names nothing. What a tab is loading stays and is named in `inUse`.
   * @throws LoadError `invalid_argument`
   */
  prune(keep: readonly CacheSelector[], options?: PruneOptions): Promise<CacheRemoval>;
  /**
   * Reads every complete file (of one snapshot, of one model, of all) and compares its hash with the announced one. Damaged
   * files are dropped, so that the next load fetches them, and only them, again. Cancelled, it has dropped what it found.
   * @throws LoadError `invalid_argument`, `aborted`
   */
  verify(selector?: CacheSelector, options?: VerifyOptions): Promise<VerifyResult>;
  /**
   * Asks the browser not to delete the cache by itself when the disk is short. Some ask the person, some decide by themselves;
   * false where it was not granted. Storage API, https://storage.spec.whatwg.org/#dom-storagemanager-persist.
   */
  persist(): Promise<boolean>;
}

/** @internal `using` runs work on the loader's worker. */
export function createModelCache(
  using: <T>(work: (worker: WorkerLink<ModelWorkerApi>) => Promise<T>) => Promise<T>,
): ModelCache {
  return {
    list: () => using((worker) => worker.call((api) => api.cacheList())),
    usage: () => using((worker) => worker.call((api) => api.cacheUsage())),
    async delete(selector) {
      const checked = checkSelector(selector);
      return using((worker) => worker.call((api) => api.cacheDelete(checked)));
    },
    clear: () => using((worker) => worker.call((api) => api.cacheClear())),
    async pin(selector, pinned) {
      const checked = checkSelector(selector);
      return using((worker) => worker.call((api) => api.cachePin(checked, pinned)));
    },
    async prune(keep, { includePinned = false } = {}) {
      const checked = checkList(keep).map(checkSelector);
      return using((worker) => worker.call((api) => api.cachePrune(checked, includePinned)));
    },
    async verify(selector, { signal, onProgress } = {}) {
      const checked = selector === undefined ? null : checkSelector(selector);
      const report = Comlink.proxy(toPageCallback(onProgress));
      return using((worker) => worker.call((api, id) => api.cacheVerify(id, checked, report), signal));
    },
    async persist() {
      checkSecure();
      // Windows only: a worker may ask whether it is granted, not for it.
      const storage = navigator.storage as StorageManager | undefined;
      if (typeof storage?.persist !== 'function') {
        throw new LoadError('storage_unavailable', {
          message: 'Only a page may ask for persistent storage, not a worker, and only in a browser that knows it.',
        });
      }
      return storage.persist();
    },
  };
}

/** Plain data with the names only: a whole {@link CacheEntry} may stand for itself. */
function checkSelector(selector: unknown): CacheSelector {
  const { modelId, commit, endpoint } = (typeof selector === 'object' && selector !== null ? selector : {}) as {
    readonly modelId?: unknown;
    readonly commit?: unknown;
    readonly endpoint?: unknown;
  };
  if (!isName(modelId)) {
    throw invalid('A selector names a model: {modelId}, or {modelId, commit} for one snapshot.', 'modelId');
  }
  if (commit !== undefined && !isName(commit)) {
    throw invalid(`The commit of ${modelId} must be a commit in full; leave it out for all of them.`, 'commit');
  }
  if (endpoint !== undefined && !isName(endpoint)) {
    throw invalid(`The endpoint of ${modelId} must be an address; leave it out for all of them.`, 'endpoint');
  }
  return {
    modelId,
    ...(commit === undefined ? {} : { commit }),
    ...(endpoint === undefined ? {} : { endpoint: endpoint.replace(/\/+$/u, '') }),
  };
}

function isName(value: unknown): value is string {
  return typeof value === 'string' && value !== '';
}

function checkList(keep: unknown): readonly unknown[] {
  if (Array.isArray(keep)) return keep as readonly unknown[];
  throw invalid('prune takes a list of what to keep; an empty one keeps nothing.', 'keep');
}

function invalid(message: string, argument: string): LoadError {
  return new LoadError('invalid_argument', { message, detail: { argument } });
}
