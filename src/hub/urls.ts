/**
 * The addresses of the hub's protocol. In: checked names (see `model-id.ts`). Out: absolute URLs.
 * Guarantees: every part is percent-encoded, so that no name changes the path that it stands in; no URL holds a token.
 */

/** Metadata of a repository at a revision: commit, gated, private, names of files. */
export function revisionUrl(endpoint: string, modelId: string, revision: string): string {
  // A revision is one segment: `refs/pr/1` travels as `refs%2Fpr%2F1`, or the hub would take its tail for a path.
  return `${modelApiUrl(endpoint, modelId)}/revision/${encodeURIComponent(revision)}`;
}

/** The list of all files at a commit. */
export function treeUrl(endpoint: string, modelId: string, commit: string): string {
  return `${modelApiUrl(endpoint, modelId)}/tree/${encodeURIComponent(commit)}?recursive=true&expand=false`;
}

/** Answers 200 where this caller may read the files: a gated repository lists them to everyone. */
export function authCheckUrl(endpoint: string, modelId: string): string {
  return `${modelApiUrl(endpoint, modelId)}/auth-check`;
}

/** The bytes of one file, addressed by commit. */
export function resolveUrl(endpoint: string, modelId: string, commit: string, path: string): string {
  return `${endpoint}/${encodePath(modelId)}/resolve/${encodeURIComponent(commit)}/${encodePath(path)}`;
}

/** The page where a person reads about a model, asks for access and accepts terms. */
export function modelPageUrl(endpoint: string, modelId: string): string {
  return `${endpoint}/${encodePath(modelId)}`;
}

/** Each segment percent-encoded, the slashes kept. */
export function encodePath(path: string): string {
  return path.split('/').map(encodeURIComponent).join('/');
}

/**
 * An address as it may stand in a message: without query and fragment, where signatures and tokens live, and without name and
 * password.
 */
export function toSafeUrl(url: string): string {
  return url.replace(/[?#].*$/s, '').replace(/^([a-z][a-z0-9+.-]*:\/\/)[^/]*@/i, '$1');
}

/** An address as others are built on it. */
export function trimTrailingSlashes(url: string): string {
  return url.replace(/\/+$/, '');
}

function modelApiUrl(endpoint: string, modelId: string): string {
  return `${endpoint}/api/models/${encodePath(modelId)}`;
}
