/**
 * Stage 1 and the files behind it: a pinned snapshot, and its bytes for as long as they are needed.
 *
 * In: what to load and from where: an id, an address, or a folder on this computer. Out: whatever `work` makes of the
 * repository. Guarantees: what opens the files (a way to the fetch worker, or nothing but handles for a folder) ends with `work`,
 * however that ends; where the request allows it, a page without storage, or with too little, gets files that keep nothing.
 */
import { throwIfAborted } from '../../base/abort.ts';
import { runThenCleanUp } from '../../base/clean-up.ts';
import { checkWasm } from '../../base/wasm-support.ts';
import type { ResolveRecords } from '../../contract/cache-records.ts';
import { fromErrorData, isLoadError, toErrorData } from '../../contract/errors.ts';
import type { LoadError, Stage } from '../../contract/errors.ts';
import type { LoadRequest } from '../../contract/load.ts';
import type { PlannedStorage } from '../../contract/plan.ts';
import type { ModelOrigin, Snapshot, SnapshotSource } from '../../contract/snapshot.ts';
import type { FetchDoor, SourceConfig } from '../../contract/worker-api.ts';
import { OptionalRecords } from '../../store/optional-records.ts';
import { CacheRecords } from '../../store/records.ts';
import { isStorageShortage } from '../../store/storage-error.ts';
import { openFetchService } from '../fetch/service.ts';
import type { FetchService, SnapshotFiles } from '../fetch/service.ts';
import type { FetchAccess } from '../fetch/snapshot-session.ts';
import { NO_STORAGE, noRoom, NOTHING_KEPT, usualStorage } from './storage.ts';
import { resolveSnapshot } from './resolve.ts';
import { openLocalFolder } from './sources/local-folder.ts';
import { resolveStatic } from './sources/resolve-static.ts';
import type { StageLog } from '../stage-log.ts';

/** What the page brings. */
export interface Environment {
  readonly fetchDoor: FetchDoor;
}

/** A repository at one commit. */
export interface Repository {
  readonly snapshot: Snapshot;
  /** Others once the cache is done without. */
  readonly files: SnapshotFiles;
  readonly storage: PlannedStorage;
  /**
   * Goes on with files that keep nothing, and says so in a notice of this stage; false where the request forbids it, or they are
   * such already.
   */
  doWithoutCache(shortage: LoadError, stage: Stage): Promise<boolean>;
}

/**
 * Resolves, opens, runs `work`, closes.
 * @throws LoadError as {@link resolveSnapshot}, {@link resolveStatic} and {@link openLocalFolder}, `storage_unavailable` where
 * the cache is required, and what `work` throws
 */
export async function withRepository<T>(
  run: RepositoryRequest,
  work: (repository: Repository) => Promise<T>,
): Promise<T> {
  checkWasm(); // hashing is made of it, and so is the runtime: better said before anything is looked up
  const { request, environment, log, signal } = run;
  const { origin } = request;
  if (origin.type === 'folder') {
    const local = await log.run(
      'resolve',
      () => openLocalFolder(request.modelId, origin.folder, signal),
      ({ snapshot }) => `folder on this computer, ${snapshot.files.length} files`,
    );
    const storage = usualStorage(local.snapshot);
    return runThenCleanUp(
      () => work({ ...local, storage, doWithoutCache: () => Promise.resolve(false) }),
      () => local.files.close(),
    );
  }
  // While the repository is looked up.
  const starting = openFetchService(environment.fetchDoor, {
    useStore: request.cache !== 'none',
  });
  starting.catch(() => undefined); // a repository that is not there is the better news
  try {
    const optional = new OptionalRecords(request.cache === 'none' ? null : new CacheRecords());
    const records = request.cache === 'required' ? new CacheRecords() : optional;
    const snapshot = await log.run(
      'resolve',
      () =>
        resolve(run, origin, records).catch((error: unknown) => {
          throw explainMiss(error, request, optional);
        }),
      ({ source, commit, offline }) =>
        `${SOURCE_WORDS[source]}, commit ${commit.slice(0, 8)}${offline ? ', as last known' : ''}`,
    );
    const service = await starting;
    throwIfAborted(signal);
    return await work(await NetworkRepository.open(run, snapshot, service, optional.obstacle ?? service.obstacle));
  } finally {
    await starting.then(
      (service) => service.dispose(),
      () => undefined,
    );
  }
}

/** `work`, and where the page turns out to have no storage for it, or too little, `work` again without a cache. */
export async function withCacheOrWithout<T>(repository: Repository, stage: Stage, work: () => Promise<T>): Promise<T> {
  const { files } = repository;
  try {
    return await work();
  } catch (error) {
    if (!isStorageShortage(error)) throw error;
    // Something beside this may have found it out before.
    const isNew = repository.files !== files || (await repository.doWithoutCache(error, stage));
    if (!isNew) throw error;
    return work();
  }
}

const SOURCE_WORDS: Readonly<Record<SnapshotSource, string>> = {
  bundled: 'bundled with this page',
  hub: 'hub',
  url: 'web address',
  folder: 'folder on this computer',
};

function resolve(
  { request, source, log, signal }: RepositoryRequest,
  origin: Exclude<ModelOrigin, { type: 'folder' }>,
  records: ResolveRecords,
): Promise<Snapshot> {
  const { modelId, offline } = request;
  const deps = { signal, records, onNotice: (message: string) => log.notice('resolve', message) };
  if (origin.type === 'url') return resolveStatic({ modelId, baseUrl: origin.baseUrl, offline }, deps);
  const { endpoint, token, bundledBaseUrl } = source;
  return resolveSnapshot(request, { ...deps, hub: { endpoint, token }, bundledBaseUrl });
}

/** That a model "was never loaded" is not the whole reason where nothing is ever kept. */
function explainMiss(error: unknown, { cache }: LoadRequest, { obstacle }: OptionalRecords): unknown {
  const storage = cache === 'none' ? NOTHING_KEPT : obstacle && describeShortage(obstacle);
  if (!storage || !isLoadError(error) || error.code !== 'not_cached') return error;
  return fromErrorData({ ...toErrorData(error), message: `${error.message} ${storage.reason}` });
}

/** The token is the hub's: a static server never sees it, be it on the same host. */
function chooseAccess(snapshot: Snapshot, { endpoint, token }: SourceConfig): FetchAccess {
  return snapshot.source === 'url' ? { endpoint: snapshot.endpoint, token: null } : { endpoint, token };
}

/** Files of a fetch worker: first those of the cache, where there is one. */
class NetworkRepository implements Repository {
  readonly snapshot: Snapshot;
  files: SnapshotFiles;
  storage: PlannedStorage;
  readonly #run: RepositoryRequest;
  readonly #openUncached: () => Promise<SnapshotFiles>;
  #switching: Promise<void> | null = null;

  private constructor(
    run: RepositoryRequest,
    snapshot: Snapshot,
    opened: { readonly files: SnapshotFiles; readonly storage: PlannedStorage },
    openUncached: () => Promise<SnapshotFiles>,
  ) {
    this.#run = run;
    this.snapshot = snapshot;
    this.files = opened.files;
    this.storage = opened.storage;
    this.#openUncached = openUncached;
    if (this.storage.kind === 'none') run.log.notice('plan', this.storage.reason);
  }

  static async open(
    run: RepositoryRequest,
    snapshot: Snapshot,
    service: FetchService,
    obstacle: LoadError | null,
  ): Promise<NetworkRepository> {
    const { cache } = run.request;
    const access = chooseAccess(snapshot, run.source);
    const onNotice = (notice: string): void => run.log.notice('fetch', notice);
    const openUncached = (): Promise<SnapshotFiles> => service.openUncached(snapshot, access, onNotice);
    const open = async (): Promise<{ readonly files: SnapshotFiles; readonly storage: PlannedStorage }> => {
      if (cache === 'none') return { files: await openUncached(), storage: NOTHING_KEPT };
      try {
        if (obstacle) throw obstacle;
        return { files: await service.openSnapshot(snapshot, access, onNotice), storage: usualStorage(snapshot) };
      } catch (error) {
        if (cache === 'required' || !isStorageShortage(error)) throw error;
        return { files: await openUncached(), storage: describeShortage(error) };
      }
    };
    return new NetworkRepository(run, snapshot, await open(), openUncached);
  }

  async doWithoutCache(shortage: LoadError, stage: Stage): Promise<boolean> {
    if (this.#run.request.cache !== 'auto' || this.storage.kind !== 'cache') return false;
    this.#switching ??= this.#switch(shortage, stage);
    await this.#switching;
    return true;
  }

  async #switch(shortage: LoadError, stage: Stage): Promise<void> {
    const before = await this.files.receivedBytes();
    const files = await this.#openUncached();
    // What the cache has fetched so far crossed the network for this load, too.
    this.files = { ...files, receivedBytes: async () => before + (await files.receivedBytes()) };
    this.storage = describeShortage(shortage);
    this.#run.log.notice(stage, this.storage.reason);
  }
}

function describeShortage({ code, detail }: LoadError): PlannedStorage {
  if (code === 'storage_unavailable') return NO_STORAGE;
  const { neededBytes, freeBytes } = detail;
  return noRoom(typeof neededBytes === 'number' && typeof freeBytes === 'number' ? { neededBytes, freeBytes } : null);
}

/** What {@link withRepository} needs. */
export interface RepositoryRequest {
  readonly request: LoadRequest;
  readonly source: SourceConfig;
  readonly environment: Environment;
  readonly log: StageLog;
  readonly signal: AbortSignal;
}
