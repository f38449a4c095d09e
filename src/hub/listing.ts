/**
 * Revision → commit → files, by the hub's API. In: checked names and an endpoint. Out: a commit and its files.
 *
 * Guarantees: one cheap request tells whether a branch moved; the files are listed by commit, so that a push in between
 * changes nothing; a repository that may not be read says so here and not at its first file; pages are followed on the
 * endpoint itself, wherever their links point (a mirror's links lead to the hub, and the token must not go there).
 *
 * Why not `@huggingface/hub`: it follows links and redirects as they come, checks no path, size or hash, knows one error
 * class, and refuses tokens that do not start with `hf_` (those of mirrors). What is left are two GET requests.
 */
import { isLoadError, LoadError } from '../contract/errors.ts';
import { checkModelId, isCommit, quote } from './model-id.ts';
import { parseNextLink } from './link-header.ts';
import { type HubAccess, requestJson, requestText, type TextRequestOptions } from './request.ts';
import { FileCollector, invalid, type ListedFile, MAX_FILES } from './tree-entries.ts';
import { authCheckUrl, modelPageUrl, revisionUrl, treeUrl } from './urls.ts';

/** A page of 1,000 entries is about 250 kB; metadata with an embedded model card a few hundred. */
const MAX_JSON_BYTES = 16 * 1024 * 1024;

/** How listing requests are bounded and repeated. */
export type ListingOptions = Pick<TextRequestOptions, 'signal' | 'timeoutMs' | 'retry'>;

/** What a revision stands for. */
export interface RevisionInfo {
  readonly commit: string;
  /** The repository's present name: an old name or a bare one (`gpt2`) is an alias. */
  readonly modelId: string;
  readonly gated: boolean;
  readonly private: boolean;
  /** Paths as the metadata names them; may be cut off for very large repositories. */
  readonly paths: readonly string[];
}

/**
 * The commit of a revision: one request.
 *
 * @throws LoadError `repository_not_found`, `repository_gated`, `unauthorized`, `revision_not_found`,
 * `listing_invalid`, `network_unreachable`, `rate_limited`, `http_status`, `aborted`
 */
export async function readRevision(
  access: HubAccess,
  modelId: string,
  revision: string,
  options: ListingOptions,
): Promise<RevisionInfo> {
  const { json } = await requestJson(
    access,
    revisionUrl(access.endpoint, modelId, revision),
    { modelId, revision, path: null },
    { ...options, maxBytes: MAX_JSON_BYTES },
  );
  const info = (typeof json === 'object' && json !== null ? json : {}) as Readonly<Record<string, unknown>>;
  const { sha, id, gated, disabled, siblings } = info;
  if (typeof sha !== 'string' || !isCommit(sha)) {
    throw new LoadError('listing_invalid', {
      message: `${access.endpoint} names no commit for ${modelId} at ${revision}. Is the endpoint really a hub?`,
      detail: { reason: 'sha is not 40 hex digits', sha: typeof sha === 'string' ? sha.slice(0, 80) : null },
    });
  }
  if (isCommit(revision) && sha !== revision) {
    throw new LoadError('listing_invalid', {
      message: `Asked for commit ${revision}, ${access.endpoint} answered with ${sha}.`,
      detail: { reason: 'another commit than the one asked for', sha },
    });
  }
  if (disabled === true) {
    throw new LoadError('repository_not_found', {
      message: `${access.endpoint} has disabled ${modelId}.`,
      detail: { modelId, disabled: true },
    });
  }
  return {
    commit: sha,
    modelId: readCanonicalId(id, modelId),
    gated: gated === true || gated === 'auto' || gated === 'manual',
    private: info['private'] === true,
    paths: readSiblings(siblings),
  };
}

/**
 * All files at a commit, in the order of the listing.
 *
 * @throws LoadError as {@link readRevision}
 */
export async function listFiles(
  access: HubAccess,
  info: RevisionInfo,
  options: ListingOptions,
): Promise<readonly ListedFile[]> {
  const collector = new FileCollector();
  const first = treeUrl(access.endpoint, info.modelId, info.commit);
  const visited = new Set<string>();
  let url: string | null = first;
  let sawLink = false;
  while (url !== null) {
    if (visited.has(url)) throw invalid('its pages lead in a circle', null, null);
    if (visited.size > MAX_FILES) throw invalid('it has more pages than entries', null, null);
    visited.add(url);
    const { json, response } = await requestJson(
      access,
      url,
      { modelId: info.modelId, revision: info.commit, path: null },
      { ...options, maxBytes: MAX_JSON_BYTES },
    );
    collector.addPage(json);
    const next = parseNextLink(response.headers.get('Link'), url);
    sawLink ||= next !== null;
    url = next === null ? null : rebase(next, first);
  }
  if (!sawLink) checkNothingHidden(info.paths, collector);
  return collector.files;
}

/**
 * Whether this caller may read the files of a gated repository, which lists them to everyone.
 *
 * @throws LoadError `repository_gated`, `unauthorized`; nothing where a mirror does not know the question
 */
export async function checkAccess(access: HubAccess, info: RevisionInfo, options: ListingOptions): Promise<void> {
  if (!info.gated) return;
  const { modelId } = info;
  try {
    const url = authCheckUrl(access.endpoint, modelId);
    await requestText(access, url, { modelId, revision: null, path: null }, { ...options, maxBytes: MAX_JSON_BYTES });
  } catch (error) {
    if (!isLoadError(error)) throw error;
    // The repository is there, as its metadata was just read: "not found" can only mean "not for you", or that this
    // endpoint has no such route. Files will tell in the second case, so only a refusal counts.
    const status = error.detail['status'];
    if (error.code === 'repository_not_found' && status === 401) {
      throw new LoadError('repository_gated', {
        message: `Accept the terms of ${modelId} at ${modelPageUrl(access.endpoint, modelId)}.`,
        detail: { modelId, status },
        cause: error,
      });
    }
    const isRefusal = error.code === 'repository_gated' || error.code === 'unauthorized' || error.code === 'aborted';
    if (isRefusal) throw error;
  }
}

function readCanonicalId(id: unknown, modelId: string): string {
  if (typeof id !== 'string') return modelId;
  try {
    return checkModelId(id);
  } catch (error) {
    throw new LoadError('listing_invalid', {
      message: `The hub calls ${modelId} ${quote(id)}, which is no model id.`,
      detail: { reason: 'id is no model id' },
      cause: error,
    });
  }
}

function readSiblings(siblings: unknown): readonly string[] {
  if (!Array.isArray(siblings)) return [];
  return (siblings as unknown[]).flatMap((sibling) => {
    const name = (sibling as { rfilename?: unknown } | null)?.rfilename;
    return typeof name === 'string' ? [name] : [];
  });
}

/** The cursor of a page's link, on our own address. */
function rebase(next: string, first: string): string {
  const url = new URL(first);
  url.search = new URL(next).search;
  return url.href;
}

/**
 * A page can read `Link` only where the server exposes it. Where it is hidden, a second page looks like no second page:
 * then the metadata's own list of names shows that files are missing.
 */
function checkNothingHidden(paths: readonly string[], collector: FileCollector): void {
  const missing = paths.find((path) => !collector.hasSeen(path));
  if (missing === undefined) return;
  throw new LoadError('listing_invalid', {
    message:
      `It ends before ${quote(missing)}. The server probably hides the "Link" header from pages ` +
      '(Access-Control-Expose-Headers lacks it).',
    detail: { reason: 'files are missing', path: missing.slice(0, 200) },
  });
}
