/**
 * Stage 1 and the files behind it: a pinned snapshot and a fetch service that is open for as long as it is needed.
 *
 * In: what to load and from where. Out: whatever `work` makes of the repository. Guarantees: the fetch worker ends with
 * `work`, however it ends.
 */
import { throwIfAborted } from '../base/abort.ts';
import type { LoadRequest } from '../contract/load.ts';
import type { Snapshot } from '../contract/snapshot.ts';
import type { SourceConfig } from '../contract/worker-api.ts';
import { CacheRecords } from '../store/records.ts';
import { openFetchService } from './fetch/service.ts';
import type { SnapshotFiles } from './fetch/service.ts';
import { resolveSnapshot } from './resolve.ts';
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

/** Resolves, opens, runs `work`, closes. @throws LoadError as {@link resolveSnapshot}, and what `work` throws */
export async function withRepository<T>(
  { request, source, environment, log, signal }: RepositoryRequest,
  work: (repository: Repository) => Promise<T>,
): Promise<T> {
  const snapshot = await log.run(
    'resolve',
    () =>
      resolveSnapshot(request, {
        signal,
        hub: { endpoint: source.endpoint, token: source.token },
        bundledBaseUrl: source.bundledBaseUrl,
        records: new CacheRecords(),
        onNotice: (message) => log.notice('resolve', message),
      }),
    ({ source: from, commit, offline }) =>
      `${from === 'bundled' ? 'bundled with this page' : 'hub'}, commit ${commit.slice(0, 8)}${offline ? ', as last known' : ''}`,
  );
  const service = await openFetchService(environment.startFetchWorker());
  try {
    throwIfAborted(signal);
    const files = await service.openSnapshot(snapshot, { endpoint: source.endpoint, token: source.token });
    return await work({ snapshot, files });
  } finally {
    await service.dispose();
  }
}

/** What {@link withRepository} needs. */
export interface RepositoryRequest {
  readonly request: LoadRequest;
  readonly source: SourceConfig;
  readonly environment: Environment;
  readonly log: StageLog;
  readonly signal: AbortSignal;
}
