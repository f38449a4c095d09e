/**
 * Stage 1 and the files behind it: a pinned snapshot, and its bytes for as long as they are needed.
 *
 * In: what to load and from where: an id, an address, or a folder on this computer. Out: whatever `work` makes of the
 * repository. Guarantees: what opens the files (a fetch worker, or nothing but handles for a folder) ends with `work`,
 * however that ends.
 */
import { throwIfAborted } from '../base/abort.ts';
import { runThenCleanUp } from '../base/clean-up.ts';
import { checkWasm } from '../base/wasm-support.ts';
import type { LoadRequest } from '../contract/load.ts';
import type { ModelOrigin, Snapshot, SnapshotSource } from '../contract/snapshot.ts';
import type { SourceConfig } from '../contract/worker-api.ts';
import { CacheRecords } from '../store/records.ts';
import { openFetchService } from './fetch/service.ts';
import type { SnapshotFiles } from './fetch/service.ts';
import type { FetchAccess } from './fetch/snapshot-session.ts';
import { resolveSnapshot } from './resolve.ts';
import { openLocalFolder } from './sources/local-folder.ts';
import { resolveStatic } from './sources/resolve-static.ts';
import type { StageLog } from './stage-log.ts';

/** What the composition root brings. */
export interface Environment {
  /** Starts `workers/fetch.worker.ts`. */
  startFetchWorker(): Worker;
}

/** A repository at one commit. */
export interface Repository {
  readonly snapshot: Snapshot;
  readonly files: SnapshotFiles;
}

/**
 * Resolves, opens, runs `work`, closes.
 * @throws LoadError as {@link resolveSnapshot}, {@link resolveStatic} and {@link openLocalFolder}, and what `work` throws
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
    return runThenCleanUp(
      () => work(local),
      () => local.files.close(),
    );
  }
  const starting = openFetchService(environment.startFetchWorker()); // while the repository is looked up
  starting.catch(() => undefined); // a repository that is not there is the better news
  try {
    const snapshot = await log.run(
      'resolve',
      () => resolve(run, origin),
      ({ source, commit, offline }) =>
        `${SOURCE_WORDS[source]}, commit ${commit.slice(0, 8)}${offline ? ', as last known' : ''}`,
    );
    const service = await starting;
    throwIfAborted(signal);
    const files = await service.openSnapshot(snapshot, chooseAccess(snapshot, run.source), (notice) =>
      log.notice('fetch', notice),
    );
    return await work({ snapshot, files });
  } finally {
    await starting.then(
      (service) => service.dispose(),
      () => undefined,
    );
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
): Promise<Snapshot> {
  const { modelId, offline } = request;
  const deps = {
    signal,
    records: new CacheRecords(),
    onNotice: (message: string) => log.notice('resolve', message),
  };
  if (origin.type === 'url') return resolveStatic({ modelId, baseUrl: origin.baseUrl, offline }, deps);
  const { endpoint, token, bundledBaseUrl } = source;
  return resolveSnapshot(request, { ...deps, hub: { endpoint, token }, bundledBaseUrl });
}

/** The token is the hub's: a static server never sees it, be it on the same host. */
function chooseAccess(snapshot: Snapshot, { endpoint, token }: SourceConfig): FetchAccess {
  return snapshot.source === 'url' ? { endpoint: snapshot.endpoint, token: null } : { endpoint, token };
}

/** What {@link withRepository} needs. */
export interface RepositoryRequest {
  readonly request: LoadRequest;
  readonly source: SourceConfig;
  readonly environment: Environment;
  readonly log: StageLog;
  readonly signal: AbortSignal;
}
