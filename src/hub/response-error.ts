/**
 * An answer of the hub that is no success, turned into a typed error.
 *
 * In: a `Response` and what was asked for. Out: a {@link LoadError}. Guarantees: nothing of the request's headers and
 * nothing of a signed address's query gets into the error.
 *
 * What the hub really sends (huggingface_hub `utils/_http.py`; answers seen from the hub): `X-Error-Code` is one of
 * RepoNotFound, GatedRepo, RevisionNotFound, EntryNotFound; `X-Error-Message` and the JSON body's `error` say the same in
 * words. Both headers are exposed to pages by the hub's CORS rules; a mirror may forget that, so the body's words are
 * read too. What the server says is passed on: it knows best. A missing repository answers 401 "Invalid username or password." to someone without a token (so that nobody
 * learns which private ones exist) and 404 RepoNotFound to someone with one. `Retry-After` is not exposed to
 * pages. A fine-grained token without the permission for gated repositories gets 403 and no code, only words.
 */
import { formatClock } from '../base/clock.ts';
import { LoadError, type ErrorDetail } from '../contract/errors.ts';
import { readServerWords, type ServerWords } from './server-words.ts';
import { modelPageUrl } from './urls.ts';
import { readReturnMs } from './when-to-return.ts';

/** What was asked for: decides what a 404 without further words means. */
export interface RequestSubject {
  readonly endpoint: string;
  readonly modelId: string;
  /** Null where the request names none. */
  readonly revision: string | null;
  /** Null where the request is not for a file. */
  readonly path: string | null;
  readonly hasToken: boolean;
}

/** The error for a response whose status is not 2xx; reads its body. */
export async function errorFromResponse(response: Response, subject: RequestSubject): Promise<LoadError> {
  const said = await readServerWords(response);
  const detail = {
    modelId: subject.modelId,
    ...(subject.revision === null ? {} : { revision: subject.revision }),
    ...(subject.path === null ? {} : { path: subject.path }),
    ...(said.code === null ? {} : { errorCode: said.code }),
    ...(said.message === null ? {} : { serverMessage: said.message }),
  };
  const { status } = response;
  const named = nameError(status, said, subject);
  if (named !== null) return new LoadError(named.code, { message: named.message, detail: { status, ...detail } });
  return statusError(response, subject.endpoint, describe(subject), said.message, detail);
}

/**
 * The error for a status that says nothing of the request itself: `rate_limited` or `http_status`.
 * @param asked the address that was asked, or its origin: where the answer does not name its own
 */
export function statusError(
  response: Response,
  asked: string,
  what: string,
  serverMessage: string | null,
  detail: ErrorDetail,
): LoadError {
  const { status } = response;
  const { host, origin } = new URL(response.url || asked);
  const nowMs = Date.now();
  const retryAfterMs = readReturnMs(status, response.headers, nowMs);
  const known = retryAfterMs === null ? {} : { retryAfterMs, retryAtMs: nowMs + retryAfterMs };
  const until = retryAfterMs === null ? null : formatClock(nowMs + retryAfterMs, nowMs);
  const said = serverMessage === null ? '.' : `: ${serverMessage}`;
  if (status === 429) {
    // The hosts of a hub's files, its CDN above all, are limited apart from it: the origin says who asks to wait.
    const message = until === null ? 'does not say until when' : `asks to wait until ${until}`;
    return new LoadError('rate_limited', {
      message: `${host} ${message}${said}`,
      retryable: true,
      detail: { status, origin, ...detail, ...known },
    });
  }
  return new LoadError('http_status', {
    message: `${host} answered ${status} for ${what}${said}${until === null ? '' : ` It asks to wait until ${until}.`}`,
    retryable: isRetryableStatus(status),
    detail: { status, ...detail, ...known },
  });
}

/** Whether a status speaks of the moment and not of the request. */
export function isRetryableStatus(status: number): boolean {
  return status === 408 || status === 425 || status === 429 || status >= 500;
}

/** The codes that say more than a status does; null for the rest. */
function nameError(
  status: number,
  said: ServerWords,
  subject: RequestSubject,
): { readonly code: LoadError['code']; readonly message: string } | null {
  const { endpoint, modelId, revision, path, hasToken } = subject;
  const page = modelPageUrl(endpoint, modelId);
  const words = said.message ?? '';
  const quoted = said.message === null ? '' : ` The server says: "${said.message}"`;
  const notFound = {
    code: 'repository_not_found',
    message: hasToken
      ? `Looked for ${modelId} at ${endpoint}. Check the spelling, and that the token may read private repositories.`
      : `Looked for ${modelId} at ${endpoint}, without a token. Check the spelling.`,
  } as const;
  const noRevision = {
    code: 'revision_not_found',
    message: `${modelId} has no branch, tag or commit "${revision ?? ''}".`,
  } as const;
  const noFile = {
    code: 'file_not_found',
    message: `${modelId} has no file "${path ?? ''}" at ${revision ?? 'this revision'}.`,
  } as const;
  const gated = {
    code: 'repository_gated',
    message:
      (hasToken
        ? `The account of this token has no access to ${modelId} yet: ask for it at ${page}.`
        : `Accept the terms of ${modelId} at ${page}.`) + quoted,
  } as const;

  // Before the codes: the account may have access that this token of it is not allowed to use.
  if (hasToken && (status === 401 || status === 403) && speaksOfPermissions(words)) {
    const permission = /\bgated\b/i.test(words)
      ? '"Read access to contents of all public gated repos you can access"'
      : `read access to the contents of ${modelId}`;
    return {
      code: 'unauthorized',
      message: `It lacks a permission: tick ${permission} in its settings at ${endpoint}/settings/tokens.${quoted}`,
    };
  }
  if (said.code === 'GatedRepo') return gated;
  if (said.code === 'RepoNotFound') return notFound;
  if (said.code === 'RevisionNotFound') return noRevision;
  if (said.code === 'EntryNotFound') return noFile;
  if (/resource is disabled/i.test(words)) {
    return { code: 'repository_not_found', message: `${endpoint} has disabled ${modelId}.` };
  }
  if (status === 401 || status === 403) {
    if (/\bgated\b|access to model .* is restricted/i.test(words)) return gated;
    if (hasToken) {
      return { code: 'unauthorized', message: `Asked ${endpoint} for ${modelId}. Check or renew the token.${quoted}` };
    }
    return status === 401 ? notFound : null;
  }
  if (status === 404) {
    if (/invalid rev|revision not found/i.test(words)) return noRevision;
    if (/repo(sitory)? not found/i.test(words)) return notFound;
    if (/entry not found/i.test(words) || path !== null) return noFile;
    return notFound;
  }
  return null;
}

/** Of what a token may do, not of who its owner is. */
function speaksOfPermissions(words: string): boolean {
  return /fine-grained|token settings|\btoken\b.*\b(permission|scope)s?\b|\b(permission|scope)s?\b.*\btoken\b/i.test(
    words,
  );
}

function describe(subject: RequestSubject): string {
  const revision = subject.revision === null ? '' : ` at ${subject.revision}`;
  return subject.path === null ? `${subject.modelId}${revision}` : `${subject.path} of ${subject.modelId}${revision}`;
}
