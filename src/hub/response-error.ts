/**
 * An answer of the hub that is no success, turned into a typed error.
 *
 * In: a `Response` and what was asked for. Out: a {@link LoadError}. Guarantees: nothing of the request's headers and
 * nothing of a signed address's query gets into the error.
 *
 * What the hub really sends (huggingface_hub `utils/_http.py`; answers seen from the hub): `X-Error-Code` is one of
 * RepoNotFound, GatedRepo, RevisionNotFound, EntryNotFound; `X-Error-Message` and the JSON body's `error` say the same in
 * words. Both headers are exposed to pages by the hub's CORS rules; a mirror may forget that, so the body's words are
 * read too. A missing repository answers 401 "Invalid username or password." to someone without a token (so that nobody
 * learns which private ones exist) and 404 RepoNotFound to someone with one. `Retry-After` is not exposed to pages.
 */
import { parseRetryAfterMs } from '../base/retry.ts';
import { LoadError } from '../contract/errors.ts';
import { readText } from './read-body.ts';
import { modelPageUrl } from './urls.ts';

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

const MAX_ERROR_BODY_BYTES = 64 * 1024;

/** The error for a response whose status is not 2xx; reads its body. */
export async function errorFromResponse(response: Response, subject: RequestSubject): Promise<LoadError> {
  const said = await readWords(response);
  const detail = {
    status: response.status,
    modelId: subject.modelId,
    ...(subject.revision === null ? {} : { revision: subject.revision }),
    ...(subject.path === null ? {} : { path: subject.path }),
    ...(said.code === null ? {} : { errorCode: said.code }),
    ...(said.message === null ? {} : { serverMessage: said.message }),
  };
  const named = nameError(response.status, said, subject);
  if (named !== null) return new LoadError(named.code, { message: named.message, detail });

  const retryAfterMs = parseRetryAfterMs(response.headers.get('Retry-After'), Date.now());
  return new LoadError('http_status', {
    message:
      `${new URL(subject.endpoint).host} answered ${response.status} for ${describe(subject)}` +
      (said.message === null ? '.' : `: ${said.message}`),
    retryable: isRetryableStatus(response.status),
    detail: { ...detail, ...(retryAfterMs === null ? {} : { retryAfterMs }) },
  });
}

/** Whether a status speaks of the moment and not of the request. */
export function isRetryableStatus(status: number): boolean {
  return status === 408 || status === 425 || status === 429 || status >= 500;
}

interface Words {
  readonly code: string | null;
  readonly message: string | null;
}

/** What the answer says of itself: in its headers, else in its body. */
async function readWords(response: Response): Promise<Words> {
  const code = response.headers.get('X-Error-Code');
  const header = response.headers.get('X-Error-Message');
  const body = await readText(response, MAX_ERROR_BODY_BYTES).catch(() => '');
  const message = header ?? readJsonMessage(body);
  return { code, message: message === null ? null : message.slice(0, 300) };
}

function readJsonMessage(body: string): string | null {
  try {
    const json: unknown = JSON.parse(body);
    if (typeof json !== 'object' || json === null) return null;
    const { error, message } = json as { error?: unknown; message?: unknown };
    const words = error ?? message;
    return typeof words === 'string' ? words : null;
  } catch {
    return null;
  }
}

/** The codes that say more than a status does; null for the rest. */
function nameError(
  status: number,
  said: Words,
  subject: RequestSubject,
): { readonly code: LoadError['code']; readonly message: string } | null {
  const { endpoint, modelId, revision, path, hasToken } = subject;
  const page = modelPageUrl(endpoint, modelId);
  const words = said.message ?? '';
  const notFound = {
    code: 'repository_not_found',
    message: `Looked for ${modelId} at ${endpoint}${hasToken ? '' : ', without a token'}. Check the spelling.`,
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
    message: hasToken
      ? `The account of this token has no access to ${modelId} yet: ask for it at ${page}.`
      : `Accept the terms of ${modelId} at ${page}.`,
  } as const;

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
      const reason = words === '' ? '' : ` The server says: "${words}".`;
      return { code: 'unauthorized', message: `Asked ${endpoint} for ${modelId}.${reason} Check or renew the token.` };
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

function describe(subject: RequestSubject): string {
  const revision = subject.revision === null ? '' : ` at ${subject.revision}`;
  return subject.path === null ? `${subject.modelId}${revision}` : `${subject.path} of ${subject.modelId}${revision}`;
}
