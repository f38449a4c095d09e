/**
 * The list of models that ship with the app: `models/index.json` under the page's base address, a static file that
 * `scripts/write-model-index.mjs` writes.
 *
 * In: a base URL. Out: the commit and files of one bundled model, or null. Guarantees: the same checks as for a hub's
 * listing; a page without the file bundles nothing, and neither does one whose file of that name is another program's.
 */
import { type Fetch, platformFetch } from '../base/send.ts';
import { isLoadError, LoadError } from '../contract/errors.ts';
import { STALE_HEADER } from '../contract/offline.ts';
import { isCommit } from './model-id.ts';
import { requestText, type TextRequestOptions } from './request.ts';
import { findPathFault, invalid, isRecord, isSize, type ListedFile, MAX_FILES } from './tree-entries.ts';
import type { BundledModel } from '../contract/worker-api.ts';
import { encodePath, trimTrailingSlashes } from './urls.ts';

const MAX_INDEX_BYTES = 4 * 1024 * 1024;
const TIMEOUT_MS = 10_000;

/** A model of the index, checked. */
export interface BundledListing {
  /** Hash over the file list, 64 hex digits. */
  readonly commit: string;
  readonly files: readonly ListedFile[];
}

/**
 * What the page at `baseUrl` bundles under `modelId`; null if nothing.
 *
 * @throws LoadError `network_unreachable`, `listing_invalid`, `aborted`
 */
export async function readBundledModel(
  baseUrl: string,
  modelId: string,
  fetch: Fetch,
  options: Pick<TextRequestOptions, 'signal' | 'timeoutMs' | 'retry'>,
): Promise<BundledListing | null> {
  const index = await readIndex(baseUrl, fetch, options, 'fresh');
  return index !== null && Object.hasOwn(index, modelId) ? readModel(index[modelId]) : null;
}

/**
 * Every model that the page at `baseUrl` bundles, with the sum of its files; none where there is no index.
 *
 * @throws LoadError `network_unreachable`, `listing_invalid`, `aborted`
 */
export async function listBundledModels(
  baseUrl: string,
  options: { readonly signal?: AbortSignal | undefined; readonly fetch?: Fetch | undefined } = {},
): Promise<readonly BundledModel[]> {
  const { signal, fetch = platformFetch } = options;
  const index = await readIndex(baseUrl, fetch, { signal, timeoutMs: TIMEOUT_MS, retry: { attempts: 2 } }, 'kept');
  return Object.entries(index ?? {}).flatMap(([modelId, entry]) => {
    const model = readModel(entry);
    return model ? { modelId, sizeBytes: model.files.reduce((sum, file) => sum + file.sizeBytes, 0) } : [];
  });
}

/** Where a bundled file's bytes are. */
export function bundledFileUrl(baseUrl: string, modelId: string, path: string): string {
  return `${trimTrailingSlashes(baseUrl)}/models/${encodePath(modelId)}/${encodePath(path)}`;
}

async function readIndex(
  baseUrl: string,
  fetch: Fetch,
  options: Pick<TextRequestOptions, 'signal' | 'timeoutMs' | 'retry'>,
  accepted: 'fresh' | 'kept',
): Promise<Readonly<Record<string, unknown>> | null> {
  const path = 'models/index.json';
  const access = { endpoint: trimTrailingSlashes(baseUrl), token: null, fetch };
  try {
    const subject = { modelId: 'the bundled models', revision: null, path };
    const answer = await requestText(access, `${access.endpoint}/${path}`, subject, {
      ...options,
      maxBytes: MAX_INDEX_BYTES,
    });
    // Servers of single-page apps answer 200 with the page itself for a file that is not there.
    if (answer.response.headers.get('Content-Type')?.includes('text/html')) return null;
    // The service worker's copy is good for a list; a load is to know, and to say, that the network was away.
    if (accepted === 'fresh' && answer.response.headers.has(STALE_HEADER)) {
      throw new LoadError('network_unreachable', { message: 'This page runs from its offline copy.', retryable: true });
    }
    const index = parse(answer.text);
    const models = isRecord(index) ? index['models'] : null;
    return isRecord(models) ? models : null;
  } catch (error) {
    // Whatever a static host answers for a missing file (404, 403 on object stores), there is no index then.
    const status = isLoadError(error) ? error.detail['status'] : undefined;
    // Too long for an index of ours.
    if (isLoadError(error) && error.code === 'listing_invalid') return null;
    if (typeof status === 'number' && status < 500 && isLoadError(error) && !error.retryable) return null;
    throw error;
  }
}

/** Undefined for what is no JSON. */
function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/** Null for what is no model of ours. @throws LoadError `listing_invalid` for one of ours whose files cannot be used */
function readModel(model: unknown): BundledListing | null {
  const { commit, files } = isRecord(model) ? model : {};
  if (typeof commit !== 'string' || !(isCommit(commit) || /^[0-9a-f]{64}$/.test(commit))) return null;
  if (!Array.isArray(files)) return null;
  if (files.length > MAX_FILES) throw invalid(`a bundled model has more than ${MAX_FILES} files`, null, null);
  const paths = new Set<string>();
  const checked = (files as unknown[]).map((entry, index): ListedFile => {
    const { path, sizeBytes, sha256 } = isRecord(entry) ? entry : {};
    const fault = findPathFault(path);
    if (fault !== null) throw invalid(fault, index, entry);
    if (paths.has(path as string)) throw invalid('a path is listed twice', index, entry);
    paths.add(path as string);
    if (!isSize(sizeBytes)) throw invalid('a size is not a whole number of bytes', index, entry);
    if (typeof sha256 !== 'string' || !/^[0-9a-f]{64}$/.test(sha256))
      throw invalid('a file has no sha256', index, entry);
    return { path: path as string, sizeBytes, hash: { algorithm: 'sha256', hex: sha256 } };
  });
  return { commit, files: checked };
}
