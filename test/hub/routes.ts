/**
 * The hub's protocol: which answer belongs to which request. In: parsed requests and the repositories. Out: answers.
 *
 * The shapes, headers and statuses are those of the real hub as huggingface.js and huggingface_hub rely on them, and as
 * its answers showed them: 401 "Invalid username or password." for a repository that is missing or private, 404
 * RepoNotFound for the same with a token, 401/403 GatedRepo, 302 to a signed CDN address for large files, 307 to
 * `/api/resolve-cache/…` for small ones, 307 for renamed repositories, pages by `Link`.
 */
import { createHash } from 'node:crypto';
import type { IncomingHttpHeaders } from 'node:http';
import { type Answer, answerContent, answerJson, answerText } from './answer.ts';
import type { Fault } from './misbehave.ts';
import { type Commit, findCommit, type HubFile, type Repository } from './repository.ts';
import type { RequestKind } from './request-log.ts';
import type { UrlSigner } from './url-signer.ts';

/** What routes work with. */
export interface RouteContext {
  readonly repositories: ReadonlyMap<string, Repository>;
  readonly pageSize: number;
  readonly smallFiles: 'redirect' | 'direct';
  readonly signer: UrlSigner;
  /** Origins, known once both listeners run. */
  readonly hubOrigin: () => string;
  readonly cdnOrigin: () => string;
}

/** What a request is for, found before anything else, so that faults and the log can name it. */
export interface Route {
  readonly kind: RequestKind;
  readonly repository: string | null;
  readonly file: string | null;
  readonly answer: (headers: IncomingHttpHeaders, fault: Fault | null) => Answer;
}

/** Routes of the hub's own origin. */
export function routeHub(context: RouteContext, url: URL): Route {
  const segments = url.pathname.split('/').slice(1).map(decode);
  const other = { kind: 'other', repository: null, file: null } as const;
  if (segments[0] === 'api' && segments[1] === 'resolve-cache' && segments[2] === 'models') {
    const { id, rest } = splitId(segments.slice(3), null);
    const [sha = '', ...path] = rest;
    return fileRoute(context, 'content', id, sha, path.join('/'), true);
  }
  if (segments[0] === 'api' && segments[1] === 'models') {
    const { id, marker, rest } = splitId(segments.slice(2), ['revision', 'tree', 'auth-check']);
    return {
      kind: 'api',
      repository: id,
      file: null,
      answer: (headers) => answerApi(context, url, headers, id, marker, rest),
    };
  }
  const { id, marker, rest } = splitId(segments, ['resolve']);
  if (marker === 'resolve') {
    const [revision = '', ...path] = rest;
    return fileRoute(context, 'resolve', id, revision, path.join('/'), context.smallFiles === 'direct');
  }
  return { ...other, answer: () => answerText(404, 'text/plain', 'Not Found') };
}

/** Routes of the CDN's origin: signed objects and nothing else. */
export function routeCdn(context: RouteContext, url: URL): Route {
  const [, repositoryHash, sha256] = url.pathname.split('/').slice(1);
  for (const repository of context.repositories.values()) {
    if (hashId(repository.id) !== repositoryHash) continue;
    for (const commit of repository.commits.values()) {
      for (const file of commit.files.values()) {
        if (!file.lfs || file.sha256 !== sha256) continue;
        return {
          kind: 'content',
          repository: repository.id,
          file: file.path,
          answer: (headers, fault) => {
            if (fault?.type === 'expired') context.signer.revoke(url.pathname);
            if (!context.signer.verify(url)) return denied();
            // A CDN's ETag is its own affair: it is not the sha256 that the hub announces.
            const etag = createHash('md5').update(file.sha256).digest('hex');
            const type = { 'Content-Type': 'application/octet-stream' };
            return answerContent(headers, { content: file.content, etag, headers: type }, fault);
          },
        };
      }
    }
  }
  return { kind: 'other', repository: null, file: null, answer: denied };
}

function denied(): Answer {
  const xml =
    '<?xml version="1.0" encoding="UTF-8"?><Error><Code>AccessDenied</Code><Message>Access denied</Message></Error>';
  return answerText(403, 'application/xml', xml);
}

function answerApi(
  context: RouteContext,
  url: URL,
  headers: IncomingHttpHeaders,
  id: string,
  marker: string | null,
  rest: readonly string[],
): Answer {
  const found = findRepository(context, id, headers, url);
  if ('status' in found) return found;
  const repository = found;
  if (marker === 'auth-check') return checkGate(repository, headers) ?? answerJson(200, {});
  const revision = marker === null ? 'main' : (rest[0] ?? '');
  const commit = findCommit(repository, revision);
  if (commit === null) return answerError(404, `Invalid rev id: ${revision}`, 'RevisionNotFound');
  if (marker === 'tree') return answerTree(context, url, repository, commit, rest.slice(1).join('/'));
  return answerInfo(repository, commit);
}

function answerInfo(repository: Repository, commit: Commit): Answer {
  const { id, spec } = repository;
  return answerJson(200, {
    _id: hashId(id).slice(0, 24),
    id,
    modelId: id,
    author: id.includes('/') ? id.split('/')[0] : undefined,
    sha: spec.hostile !== undefined && 'sha' in spec.hostile ? spec.hostile.sha : commit.sha,
    lastModified: '2026-01-01T00:00:00.000Z',
    private: spec.private ?? false,
    disabled: spec.disabled ?? false,
    gated: spec.gated ?? false,
    tags: [],
    downloads: 0,
    likes: 0,
    siblings: [...commit.files.keys()].map((rfilename) => ({ rfilename })),
  });
}

function answerTree(context: RouteContext, url: URL, repository: Repository, commit: Commit, folder: string): Answer {
  const recursive = /^(true|1)$/i.test(url.searchParams.get('recursive') ?? '');
  const entries = [...listTree(commit, folder, recursive), ...(repository.spec.hostile?.entries ?? [])];
  if (entries.length === 0 && folder !== '') return answerError(404, `${folder} does not exist`, 'EntryNotFound');
  const cursor = url.searchParams.get('cursor');
  const start = cursor === null ? 0 : Number(Buffer.from(cursor, 'base64url').toString());
  const end = start + Math.min(context.pageSize, Number(url.searchParams.get('limit') ?? Infinity));
  if (end >= entries.length) return answerJson(200, entries.slice(start));
  const next = new URL(url.pathname + url.search, context.hubOrigin());
  next.searchParams.set('cursor', Buffer.from(String(end)).toString('base64url'));
  return answerJson(200, entries.slice(start, end), { Link: `<${next.href}>; rel="next"` });
}

function listTree(commit: Commit, folder: string, recursive: boolean): unknown[] {
  const prefix = folder === '' ? '' : `${folder}/`;
  const folders = new Set<string>();
  const files: unknown[] = [];
  for (const file of commit.files.values()) {
    if (!file.path.startsWith(prefix)) continue;
    const parts = file.path.slice(prefix.length).split('/');
    for (let depth = 1; depth < parts.length; depth++) {
      if (recursive || depth === 1) folders.add(prefix + parts.slice(0, depth).join('/'));
    }
    if (recursive || parts.length === 1) files.push(listEntry(file));
  }
  const directories = [...folders].map((path) => ({
    type: 'directory',
    oid: hashId(commit.sha + path),
    size: 0,
    path,
  }));
  return [...directories, ...files];
}

function listEntry(file: HubFile): unknown {
  const size = file.listed.sizeBytes ?? file.content.sizeBytes;
  const oid = file.listed.oid ?? file.oid;
  const entry = { type: 'file', oid, size, path: file.path };
  if (!file.lfs) return entry;
  const sha256 = file.listed.sha256 ?? file.sha256;
  return {
    ...entry,
    lfs: { oid: sha256, size, pointerSize: file.pointerSize },
    xetHash: hashId(sha256).padEnd(64, '0'),
  };
}

function fileRoute(
  context: RouteContext,
  kind: RequestKind,
  id: string,
  revision: string,
  path: string,
  direct: boolean,
): Route {
  const repository = context.repositories.get(id);
  const file = repository === undefined ? undefined : findCommit(repository, revision)?.files.get(path);
  // A small file that is served where it is asked for is content, whatever its route is called.
  const actualKind = kind === 'resolve' && direct && file?.lfs === false ? 'content' : kind;
  return {
    kind: actualKind,
    repository: id,
    file: path,
    answer: (headers, fault) => answerFile(context, headers, { id, revision, path, direct }, fault),
  };
}

function answerFile(
  context: RouteContext,
  headers: IncomingHttpHeaders,
  asked: { readonly id: string; readonly revision: string; readonly path: string; readonly direct: boolean },
  fault: Fault | null,
): Answer {
  const { id, revision, path, direct } = asked;
  const found = findRepository(context, id, headers, null);
  if ('status' in found) {
    if (found.status !== 307) return found;
    const { renamedTo = id, renamedAt = '' } = context.repositories.get(id)?.spec ?? {};
    return redirect(307, `${renamedAt}/${renamedTo}/resolve/${encodeURIComponent(revision)}/${encodePath(path)}`, {});
  }
  const refused = checkGate(found, headers);
  if (refused !== null) return refused;
  const commit = findCommit(found, revision);
  if (commit === null) return answerError(404, `Invalid rev id: ${revision}`, 'RevisionNotFound');
  const file = commit.files.get(path);
  const pinned = { 'X-Repo-Commit': commit.sha };
  if (file === undefined) return answerError(404, 'Entry not found', 'EntryNotFound', pinned);

  const etag = file.lfs ? file.sha256 : file.oid;
  const linked = {
    ...pinned,
    'Accept-Ranges': 'bytes',
    'X-Linked-Size': String(file.content.sizeBytes),
    'X-Linked-ETag': `"${etag}"`,
  };
  if (file.lfs) {
    const target = context.signer.sign(`${context.cdnOrigin()}/repos/${hashId(id)}/${file.sha256}`);
    return redirect(302, target, linked);
  }
  if (!direct) {
    const target = `/api/resolve-cache/models/${id}/${commit.sha}/${encodePath(path)}?etag=${encodeURIComponent(`"${etag}"`)}`;
    return redirect(307, target, { ...linked, ETag: `"${etag}"` });
  }
  const type = path.endsWith('.json') ? 'application/json' : 'text/plain; charset=utf-8';
  const served = { content: file.content, etag, headers: { ...pinned, 'Content-Type': type } };
  return answerContent(headers, served, fault);
}

/** The repository, if this caller may know of it; else what the hub says to those who may not. */
function findRepository(
  context: RouteContext,
  id: string,
  headers: IncomingHttpHeaders,
  url: URL | null,
): Repository | Answer {
  const token = readToken(headers);
  const valid = [...context.repositories.values()].some(
    ({ spec }) => token !== null && [spec.tokens, spec.tokensWithoutPermission].some((known) => known?.includes(token)),
  );
  if (token !== null && !valid) return answerError(401, 'Invalid credentials in Authorization header', null);
  const repository = context.repositories.get(id);
  const hidden = repository?.spec.private === true && !(token !== null && repository.spec.tokens?.includes(token));
  if (repository === undefined || hidden) {
    return token === null
      ? answerError(401, 'Invalid username or password.', null)
      : answerError(404, 'Repository not found', 'RepoNotFound');
  }
  const { renamedTo, renamedAt = '' } = repository.spec;
  if (renamedTo === undefined) return repository;
  return redirect(307, url === null ? '' : renamedAt + url.pathname.replace(id, renamedTo) + url.search, {});
}

/** What someone without access to a gated or disabled repository's files is told; null for the others. */
function checkGate(repository: Repository, headers: IncomingHttpHeaders): Answer | null {
  const { id, spec } = repository;
  if (spec.disabled === true) return answerError(403, 'Access to this resource is disabled.', null);
  const token = readToken(headers);
  if (spec.gated === undefined || (token !== null && spec.tokens?.includes(token))) return null;
  if (token !== null && spec.tokensWithoutPermission?.includes(token)) {
    return answerError(
      403,
      'Please enable access to public gated repositories in your fine-grained token settings to view this repository.',
      null,
    );
  }
  const message = `Access to model ${id} is restricted`;
  return token === null
    ? answerError(401, `${message}. You must have access to it and be authenticated to access it.`, 'GatedRepo')
    : answerError(403, `${message} and you are not in the authorized list.`, 'GatedRepo');
}

function answerError(
  status: number,
  message: string,
  code: string | null,
  headers: Record<string, string> = {},
): Answer {
  return answerJson(
    status,
    { error: message },
    {
      ...headers,
      'X-Error-Message': message,
      ...(code === null ? {} : { 'X-Error-Code': code }),
      ...(status === 401 ? { 'WWW-Authenticate': 'Bearer realm="Authentication required", charset="UTF-8"' } : {}),
    },
  );
}

function redirect(status: number, location: string, headers: Record<string, string>): Answer {
  return answerText(status, 'text/plain; charset=utf-8', `Redirecting to ${location}`, {
    ...headers,
    Location: location,
  });
}

/** Ids have one segment or two: the route's marker behind them tells. */
function splitId(
  segments: readonly string[],
  markers: readonly string[] | null,
): { readonly id: string; readonly marker: string | null; readonly rest: readonly string[] } {
  if (markers === null) {
    const length = /^[0-9a-f]{40}$/.test(segments[1] ?? '') ? 1 : 2;
    return { id: segments.slice(0, length).join('/'), marker: null, rest: segments.slice(length) };
  }
  for (const length of [1, 2]) {
    const marker = segments[length];
    if (marker !== undefined && markers.includes(marker)) {
      return { id: segments.slice(0, length).join('/'), marker, rest: segments.slice(length + 1) };
    }
  }
  return { id: segments.slice(0, 2).join('/'), marker: null, rest: segments.slice(2) };
}

function readToken(headers: IncomingHttpHeaders): string | null {
  return /^Bearer (.+)$/.exec(headers.authorization ?? '')?.[1] ?? null;
}

function hashId(id: string): string {
  return createHash('sha1').update(id).digest('hex');
}

function encodePath(path: string): string {
  return path.split('/').map(encodeURIComponent).join('/');
}

function decode(segment: string): string {
  try {
    return decodeURIComponent(segment);
  } catch {
    return segment;
  }
}
