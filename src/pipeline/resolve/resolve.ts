/**
 * Stage 1, resolve: a model id and a revision become a snapshot.
 *
 * In: what a person typed, an endpoint, and what earlier loads remembered. Out: a {@link Snapshot}: commit, files, sizes,
 * hashes, and URLs that name the commit and never the branch.
 *
 * Guarantees: bundled models come first, then the hub; a commit that was resolved before asks the network for nothing; a
 * branch costs one request if it has not moved; with the network (or the hub) gone, or `offline` asked for, the branch's
 * last known commit is taken and `offline` says so; a snapshot is recorded before the ref that names it; nothing from a
 * server is used unchecked; the token reaches the endpoint's origin only and no record.
 */
import { throwIfAborted } from '../../base/abort.ts';
import { isTransient } from '../../base/retry.ts';
import { type Fetch, platformFetch } from '../../base/send.ts';
import { isLoadError } from '../../contract/errors.ts';
import { DEFAULT_ENDPOINT } from '../../contract/model-name.ts';
import type { Snapshot } from '../../contract/snapshot.ts';
import { bundledFileUrl, readBundledModel } from '../../hub/bundled-index.ts';
import { checkAccess, listFiles, readRevision } from '../../hub/listing.ts';
import { checkEndpoint, checkModelId, checkRevision, checkToken, isCommit } from '../../hub/model-id.ts';
import type { HubAccess } from '../../hub/request.ts';
import { resolveUrl, trimTrailingSlashes } from '../../hub/urls.ts';
import {
  askOptions,
  type AskOptions,
  askOrRecall,
  findKnown,
  type LastKnownDeps,
  type NamedRevision,
  notCached,
  noticeRecall,
  record,
} from './last-known.ts';

/** What to resolve. */
export type ResolveRequest = NamedRevision;

/** What resolving works with. */
export interface ResolveDeps extends LastKnownDeps {
  /** Default: the global one. */
  readonly fetch?: Fetch | undefined;
  readonly hub?: { readonly endpoint?: string | undefined; readonly token?: string | null | undefined } | undefined;
  /** Base address under which `models/index.json` may be; null where nothing is bundled. */
  readonly bundledBaseUrl: string | null;
}

/** The branch that bundled models stand at. */
const BUNDLED_REVISION = 'main';

/**
 * Stage 1: pins a model's revision to a commit and lists its files.
 *
 * @throws LoadError `invalid_argument`, `repository_not_found`, `repository_gated`, `unauthorized`,
 * `revision_not_found`, `listing_invalid`, `network_unreachable`, `rate_limited`, `http_status`, `not_cached`, `aborted`
 */
export async function resolveSnapshot(request: ResolveRequest, deps: ResolveDeps): Promise<Snapshot> {
  try {
    throwIfAborted(deps.signal);
    const modelId = checkModelId(request.modelId);
    const revision = checkRevision(request.revision);
    const endpoint = checkEndpoint(deps.hub?.endpoint ?? DEFAULT_ENDPOINT);
    const access = { endpoint, token: checkToken(deps.hub?.token), fetch: deps.fetch ?? platformFetch };
    const checked: Checked = { ...request, modelId, revision };

    const pinned = await findPinned(checked, endpoint, deps);
    if (pinned !== null) return pinned;
    const bundled = deps.bundledBaseUrl === null ? null : await resolveBundled(checked, deps.bundledBaseUrl, deps);
    return bundled ?? (await resolveFromHub(checked, access, deps));
  } catch (error) {
    throw isLoadError(error) ? error.inStage('resolve') : error;
  }
}

/** A request whose names have been checked. */
type Checked = ResolveRequest;

/** A revision that is itself a commit of the records can have no other answer. */
async function findPinned(request: Checked, endpoint: string, deps: ResolveDeps): Promise<Snapshot | null> {
  const { modelId, revision } = request;
  const isHash = isCommit(revision) || /^[0-9a-f]{64}$/.test(revision);
  if (!isHash) return null;
  const places = deps.bundledBaseUrl === null ? [endpoint] : [trimTrailingSlashes(deps.bundledBaseUrl), endpoint];
  for (const place of places) {
    const snapshot = await deps.records.getSnapshot(place, modelId, revision);
    if (snapshot !== null) return { ...snapshot, revision, offline: false };
  }
  return null;
}

/** Null where the page does not bundle this model. */
async function resolveBundled(request: Checked, bundledBaseUrl: string, deps: ResolveDeps): Promise<Snapshot | null> {
  const { modelId, revision } = request;
  const baseUrl = trimTrailingSlashes(bundledBaseUrl);
  const known = await findKnown(request, baseUrl, deps);
  if (request.offline) return known;
  try {
    const fetch = deps.fetch ?? platformFetch;
    const options = askOptions(deps, known !== null);
    // The file lies beside the page: where it does not come at the second try, something else is wrong.
    const model = await readBundledModel(baseUrl, modelId, fetch, {
      ...options,
      retry: { ...options.retry, attempts: 2 },
    });
    if (model === null) return null;
    if (revision !== BUNDLED_REVISION && revision !== model.commit) return null;
    const snapshot: Snapshot = {
      modelId,
      source: 'bundled',
      endpoint: baseUrl,
      revision,
      commit: model.commit,
      files: model.files.map((file) => ({ ...file, url: bundledFileUrl(baseUrl, modelId, file.path) })),
      resolvedAtMs: Date.now(),
      offline: false,
    };
    await record(snapshot, deps);
    return snapshot;
  } catch (error) {
    // The page's own server may be gone (an app that runs from its service worker) while the hub is there.
    if (!isTransient(error)) throw error;
    if (known !== null) noticeRecall(deps, known, error);
    return known;
  }
}

async function resolveFromHub(request: Checked, access: HubAccess, deps: ResolveDeps): Promise<Snapshot> {
  const ask = (options: AskOptions): Promise<Snapshot> => askHub(request, access, options, deps);
  return askOrRecall(request, access.endpoint, deps, ask, (error) => notCached(request, access.endpoint, error));
}

async function askHub(request: Checked, access: HubAccess, options: AskOptions, deps: ResolveDeps): Promise<Snapshot> {
  const { modelId, revision } = request;
  const info = await readRevision(access, modelId, revision, options);
  const now = { revision, resolvedAtMs: Date.now(), offline: false };

  const recorded = await deps.records.getSnapshot(access.endpoint, modelId, info.commit);
  if (recorded !== null) {
    const snapshot = { ...recorded, ...now };
    await record(snapshot, deps);
    return snapshot;
  }
  await checkAccess(access, info, options);
  const files = await listFiles(access, info, options);
  const snapshot: Snapshot = {
    modelId,
    source: 'hub',
    endpoint: access.endpoint,
    commit: info.commit,
    files: files.map((file) => ({
      ...file,
      url: resolveUrl(access.endpoint, info.modelId, info.commit, file.path),
    })),
    ...now,
  };
  await record(snapshot, deps);
  return snapshot;
}
