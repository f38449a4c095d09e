/**
 * Stage 1 for a static server: a base address becomes a snapshot.
 *
 * In: the address of a folder that holds config.json beside the weights. Out: a snapshot whose commit is a hash over
 * addresses, sizes and versions. Guarantees: no token is ever sent; with the server out of reach, what was found last time is
 * taken and `offline` says so; a file whose ETag or Last-Modified moved is another file.
 */
import { isLoadError, LoadError } from '../../../contract/errors.ts';
import type { Snapshot } from '../../../contract/snapshot.ts';
import { explainUnreachable } from '../../fetch/unreachable.ts';
import { askOrRecall, record } from '../last-known.ts';
import type { LastKnownDeps } from '../last-known.ts';
import { hashIdentity } from '../../../base/identity.ts';
import { listStaticFiles } from './static-listing.ts';

/** What to look for. */
export interface StaticRequest {
  readonly modelId: string;
  /** Without a trailing slash. */
  readonly baseUrl: string;
  /** Ask the network for nothing. */
  readonly offline: boolean;
}

/** Static servers have one version: the present one. */
const REVISION = 'main';

/**
 * @throws LoadError `file_not_found`, `no_safetensors`, `safetensors_invalid`, `network_unreachable`,
 * `rate_limited`, `http_status`, `range_invalid`, `not_cached`, `aborted`
 */
export async function resolveStatic(request: StaticRequest, deps: LastKnownDeps): Promise<Snapshot> {
  const { modelId, baseUrl, offline } = request;
  try {
    return await askOrRecall(
      { modelId, revision: REVISION, offline },
      baseUrl,
      deps,
      async (options) => {
        const files = await listStaticFiles(baseUrl, options);
        const unversioned = files.filter(({ validator }) => validator === null);
        if (unversioned.length > 0) {
          deps.onNotice?.(
            `${new URL(baseUrl).host} shows this page neither ETag nor Last-Modified for ${unversioned.length} files: ` +
              'a change that keeps the size goes unnoticed.',
          );
        }
        const snapshot: Snapshot = {
          modelId,
          source: 'url',
          endpoint: baseUrl,
          revision: REVISION,
          commit: await hashIdentity([baseUrl, ...files.map((file) => [file.path, file.sizeBytes, file.validator])]),
          files: files.map(({ path, sizeBytes, url, validator }) => ({
            path,
            sizeBytes,
            hash: null,
            url: validator === null ? url : `${url}#${encodeURIComponent(validator)}`,
          })),
          resolvedAtMs: Date.now(),
          offline: false,
        };
        await record(snapshot, deps);
        return snapshot;
      },
      (error) => explain(error, baseUrl, deps.signal),
    );
  } catch (error) {
    throw isLoadError(error) ? error.inStage('resolve') : error;
  }
}

/** The server is down, or forgot its CORS headers: the commonest mistake with static hosts. */
async function explain(error: LoadError, baseUrl: string, signal: AbortSignal | undefined): Promise<LoadError> {
  const inBrowser = 'location' in globalThis;
  return inBrowser ? explainUnreachable(error, baseUrl, signal ?? new AbortController().signal) : error;
}
