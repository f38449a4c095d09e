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
import { throwIfAborted } from '../base/abort.ts';
import { isTransient, type RetryOptions } from '../base/retry.ts';
import type { ResolveRecords } from '../contract/cache-records.ts';
import { isLoadError, LoadError } from '../contract/errors.ts';
import type { Snapshot } from '../contract/snapshot.ts';
import { bundledFileUrl, readBundledModel } from '../hub/bundled-index.ts';
import { checkAccess, listFiles, type ListingOptions, readRevision } from '../hub/listing.ts';
import { checkEndpoint, checkModelId, checkRevision, checkToken, DEFAULT_ENDPOINT, isCommit } from '../hub/model-id.ts';
import type { Fetch, HubAccess } from '../hub/request.ts';
import { resolveUrl, trimTrailingSlashes } from '../hub/urls.ts';

/** What to resolve. */
export interface ResolveRequest {
  readonly modelId: string;
  readonly revision: string;
  /** Ask the network for nothing. */
  readonly offline: boolean;
}

/** What resolving works with. */
export interface ResolveDeps {
  readonly signal?: AbortSignal | undefined;
  /** Default: the global one. */
  readonly fetch?: Fetch | undefined;
  readonly hub?: { readonly endpoint?: string | undefined; readonly token?: string | null | undefined } | undefined;
  /** Base address under which `models/index.json` may be; null where nothing is bundled. */
  readonly bundledBaseUrl: string | null;
  readonly records: ResolveRecords;
  /** Told when a request is about to be repeated, and when the last known commit is used. */
  readonly onNotice?: ((message: string) => void) | undefined;
  /** How transient failures are repeated. Default: 4 attempts. */
  readonly retry?: Omit<RetryOptions, 'signal' | 'isRetryable' | 'onRetry'> | undefined;
}

/** The branch that bundled models stand at. */
const BUNDLED_REVISION = 'main';

/** For one request, headers and body together. With a commit to fall back on, nobody should wait long for a dead line. */
const TIMEOUT_MS = 30_000;
const TIMEOUT_WITH_FALLBACK_MS = 8_000;
const MAX_WAIT_WITH_FALLBACK_MS = 2_000;

/**
 * Stage 1: pins a model's revision to a commit and lists its files.
 *
 * @throws LoadError `invalid_argument`, `repository_not_found`, `repository_gated`, `unauthorized`,
 * `revision_not_found`, `listing_invalid`, `network_unreachable`, `http_status`, `not_cached`, `aborted`
 */
export async function resolveSnapshot(request: ResolveRequest, deps: ResolveDeps): Promise<Snapshot> {
  try {
    throwIfAborted(deps.signal);
    const modelId = checkModelId(request.modelId);
    const revision = checkRevision(request.revision);
    const endpoint = checkEndpoint(deps.hub?.endpoint ?? DEFAULT_ENDPOINT);
    const access = { endpoint, token: checkToken(deps.hub?.token), fetch: deps.fetch ?? globalThis.fetch };
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
    const fetch = deps.fetch ?? globalThis.fetch;
    const options = listingOptions(deps, known !== null);
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
    if (known !== null) notice(deps, known, error);
    return known;
  }
}

async function resolveFromHub(request: Checked, access: HubAccess, deps: ResolveDeps): Promise<Snapshot> {
  const { modelId, revision } = request;
  const known = await findKnown(request, access.endpoint, deps);
  if (request.offline) {
    if (known !== null) return known;
    throw notCached(request, access.endpoint, null);
  }
  try {
    return await askHub(request, access, listingOptions(deps, known !== null), deps);
  } catch (error) {
    if (!isTransient(error)) throw error;
    if (known !== null) {
      notice(deps, known, error);
      return known;
    }
    if (isLoadError(error) && error.code === 'network_unreachable')
      throw notCached({ modelId, revision }, access.endpoint, error);
    throw error;
  }
}

async function askHub(
  request: Checked,
  access: HubAccess,
  options: ListingOptions,
  deps: ResolveDeps,
): Promise<Snapshot> {
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

/** The last known state of a branch, marked as such. */
async function findKnown(request: Checked, endpoint: string, deps: ResolveDeps): Promise<Snapshot | null> {
  const { modelId, revision } = request;
  const ref = await deps.records.getRef(endpoint, modelId, revision);
  if (ref === null) return null;
  const snapshot = await deps.records.getSnapshot(endpoint, modelId, ref.commit);
  return snapshot === null ? null : { ...snapshot, revision, resolvedAtMs: ref.resolvedAtMs, offline: true };
}

/** The snapshot first: a ref never names what is not there. */
async function record(snapshot: Snapshot, deps: ResolveDeps): Promise<void> {
  const { endpoint, modelId, revision, commit, resolvedAtMs } = snapshot;
  throwIfAborted(deps.signal);
  await deps.records.putSnapshot(snapshot);
  await deps.records.putRef({ endpoint, modelId, revision, commit, resolvedAtMs });
}

function listingOptions(deps: ResolveDeps, hasFallback: boolean): ListingOptions {
  return {
    signal: deps.signal,
    timeoutMs: hasFallback ? TIMEOUT_WITH_FALLBACK_MS : TIMEOUT_MS,
    retry: {
      attempts: hasFallback ? 2 : 4,
      ...deps.retry,
      ...(hasFallback ? { maxServerDelayMs: MAX_WAIT_WITH_FALLBACK_MS } : {}),
      // With a commit to fall back on, a dead line is answered from the cache at once.
      isRetryable: (error) =>
        isTransient(error) && !(hasFallback && isLoadError(error) && error.code === 'network_unreachable'),
      onRetry: ({ error, delayMs }) => {
        const reason = error instanceof Error ? error.message : String(error);
        deps.onNotice?.(`${reason} Trying again in ${(delayMs / 1000).toFixed(1)} s.`);
      },
    },
  };
}

function notice(deps: ResolveDeps, known: Snapshot, error: unknown): void {
  const reason = error instanceof Error ? ` (${error.message})` : '';
  deps.onNotice?.(`Using the last known commit ${known.commit.slice(0, 12)} of ${known.modelId}${reason}`);
}

function notCached(
  request: Pick<Checked, 'modelId' | 'revision'>,
  endpoint: string,
  cause: LoadError | null,
): LoadError {
  const { modelId, revision } = request;
  return new LoadError('not_cached', {
    message:
      cause === null
        ? `${modelId} at ${revision} was never loaded from ${endpoint}, and "offline" forbids asking.`
        : `${modelId} at ${revision} was never loaded from ${endpoint}. ${cause.message}`,
    retryable: cause !== null,
    detail: { modelId, revision, endpoint, ...cause?.detail },
    cause: cause ?? undefined,
  });
}
