/**
 * Stage 1 without a network: what was resolved before stands in.
 *
 * In: a way to ask, and the records of earlier loads. Out: the answer, else the last known snapshot, marked `offline`.
 * Guarantees: a snapshot is recorded before the ref that names it; a server that says no is believed (only failures of the
 * moment fall back); with something to fall back on, nobody waits long for a dead line.
 */
import { throwIfAborted } from '../../base/abort.ts';
import { describeRetry } from '../../base/retry-words.ts';
import { isRateLimited, isTransient, type RetryOptions } from '../../base/retry.ts';
import type { ResolveRecords } from '../../contract/cache-records.ts';
import { isLoadError, LoadError } from '../../contract/errors.ts';
import type { Snapshot } from '../../contract/snapshot.ts';

/** What names a model at its source. */
export interface NamedRevision {
  readonly modelId: string;
  readonly revision: string;
  /** Ask the network for nothing. */
  readonly offline: boolean;
}

/** What asking works with. */
export interface LastKnownDeps {
  readonly signal?: AbortSignal | undefined;
  readonly records: ResolveRecords;
  /** Told when a request is about to be repeated, and when the last known commit is used. */
  readonly onNotice?: ((message: string) => void) | undefined;
  /** How transient failures are repeated. Default: 4 attempts. */
  readonly retry?: Omit<RetryOptions, 'signal' | 'isRetryable' | 'onRetry'> | undefined;
}

/** How the requests of stage 1 are bounded and repeated. */
export interface AskOptions {
  readonly signal?: AbortSignal | undefined;
  /** For one request, headers and body together. */
  readonly timeoutMs: number;
  readonly retry: Omit<RetryOptions, 'signal'>;
}

/** For one request, headers and body together. With a commit to fall back on, nobody should wait long for a dead line. */
const TIMEOUT_MS = 30_000;
const TIMEOUT_WITH_FALLBACK_MS = 8_000;
const MAX_WAIT_WITH_FALLBACK_MS = 2_000;

/**
 * What `ask` finds, or the last known snapshot where the network is away.
 * @throws LoadError `not_cached` where asking is forbidden and nothing is known; what `ask` throws, through `explain` where
 * nothing could be reached
 */
export async function askOrRecall(
  request: NamedRevision,
  endpoint: string,
  deps: LastKnownDeps,
  ask: (options: AskOptions) => Promise<Snapshot>,
  explain: (unreachable: LoadError) => LoadError | Promise<LoadError>,
): Promise<Snapshot> {
  const known = await findKnown(request, endpoint, deps);
  if (request.offline) {
    if (known !== null) return known;
    throw notCached(request, endpoint, null);
  }
  try {
    return await ask(askOptions(deps, known !== null));
  } catch (error) {
    // A policy of the page that keeps the hub out is as good as no network.
    if (!isTransient(error) && !(isLoadError(error) && error.code === 'blocked_by_policy')) throw error;
    if (known !== null) {
      noticeRecall(deps, known, error);
      return known;
    }
    if (isLoadError(error) && error.code === 'network_unreachable') throw await explain(error);
    throw error;
  }
}

/** The last known state of a branch, marked as such. */
export async function findKnown(
  { modelId, revision }: NamedRevision,
  endpoint: string,
  deps: LastKnownDeps,
): Promise<Snapshot | null> {
  const ref = await deps.records.getRef(endpoint, modelId, revision);
  if (ref === null) return null;
  const snapshot = await deps.records.getSnapshot(endpoint, modelId, ref.commit);
  return snapshot === null ? null : { ...snapshot, revision, resolvedAtMs: ref.resolvedAtMs, offline: true };
}

/** The snapshot first: a ref never names what is not there. */
export async function record(snapshot: Snapshot, deps: LastKnownDeps): Promise<void> {
  const { endpoint, modelId, revision, commit, resolvedAtMs } = snapshot;
  throwIfAborted(deps.signal);
  await deps.records.putSnapshot(snapshot);
  await deps.records.putRef({ endpoint, modelId, revision, commit, resolvedAtMs });
}

/** Patience for what there is nothing instead of, little of it otherwise. */
export function askOptions(deps: LastKnownDeps, hasFallback: boolean): AskOptions {
  let lastNotice = '';
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
      onRetry: (failure) => {
        const notice = describeRetry(failure);
        // Requests side by side are told to wait until the same time.
        const isKnown = isRateLimited(failure.error) && notice === lastNotice;
        lastNotice = notice;
        if (!isKnown) deps.onNotice?.(notice);
      },
    },
  };
}

/** Says that the last known commit is used, and why. */
export function noticeRecall(deps: LastKnownDeps, known: Snapshot, error: unknown): void {
  const reason = error instanceof Error ? ` (${error.message})` : '';
  deps.onNotice?.(`Using the last known commit ${known.commit.slice(0, 12)} of ${known.modelId}${reason}`);
}

/** Nothing is known, and the network cannot or may not be asked. */
export function notCached(request: NamedRevision, endpoint: string, cause: LoadError | null): LoadError {
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
