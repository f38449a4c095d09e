/**
 * Names that a person types: model id, revision, endpoint, token. In: strings from anywhere. Out: the same, proved
 * harmless in a URL and in a header. Guarantees: nothing that fails here is sent anywhere; a token is never repeated.
 */
import { LoadError } from '../contract/errors.ts';
import { findModelIdFault, findRevisionFault } from '../contract/model-name.ts';
import { trimTrailingSlashes } from './urls.ts';

/**
 * The model id, `org/name` or a bare `name` of the early days (`gpt2`).
 *
 * @throws LoadError `invalid_argument`
 */
export function checkModelId(modelId: string): string {
  return refuseFault('modelId', modelId, findModelIdFault(modelId));
}

/**
 * A revision: branch, tag, commit, or a ref such as `refs/pr/1`.
 *
 * @throws LoadError `invalid_argument`
 */
export function checkRevision(revision: string): string {
  return refuseFault('revision', revision, findRevisionFault(revision));
}

/**
 * The endpoint without a trailing slash; a path prefix is kept (a mirror under `/repository/hub`).
 *
 * @throws LoadError `invalid_argument`; the message repeats nothing of an address that carries credentials
 */
export function checkEndpoint(endpoint: string): string {
  const url = URL.canParse(endpoint) ? new URL(endpoint) : null;
  const hasCredentials = url !== null && (url.username !== '' || url.password !== '');
  const isHttp = url !== null && (url.protocol === 'https:' || url.protocol === 'http:');
  if (!isHttp || hasCredentials || url.search !== '' || url.hash !== '') {
    throw new LoadError('invalid_argument', {
      message: hasCredentials
        ? 'The endpoint must not carry a user name or password: give the token as an option instead.'
        : `The endpoint ${quote(endpoint)} must be an http(s) address without a query.`,
      detail: { argument: 'endpoint' },
    });
  }
  return trimTrailingSlashes(url.href);
}

/**
 * An access token, fit for a header; null where none was given.
 *
 * @throws LoadError `invalid_argument`, without the token
 */
export function checkToken(token: string | null | undefined): string | null {
  const trimmed = token?.trim() ?? '';
  if (trimmed === '') return null;
  if (!/^[\x21-\x7e]{1,4096}$/.test(trimmed)) {
    throw new LoadError('invalid_argument', {
      message: 'The access token holds characters that no token has (a space, a line break, a letter beyond ASCII).',
      detail: { argument: 'token' },
    });
  }
  return trimmed;
}

/** Whether `revision` is a whole commit already. */
export function isCommit(revision: string): boolean {
  return /^[0-9a-f]{40}$/.test(revision);
}

/** Whether `text` has a control character, NUL and DEL included. */
export function hasControlCharacter(text: string): boolean {
  for (let index = 0; index < text.length; index++) {
    const code = text.charCodeAt(index);
    if (code < 0x20 || code === 0x7f) return true;
  }
  return false;
}

/** `text` for a message: quoted, controls escaped, cut to a readable length. */
export function quote(text: string): string {
  return JSON.stringify(clip(text));
}

function refuseFault(argument: string, value: string, fault: string | null): string {
  if (fault === null) return value;
  throw new LoadError('invalid_argument', {
    message: `${quote(value)}: ${fault}`,
    detail: { argument, value: clip(value) },
  });
}

function clip(text: string): string {
  return text.length <= 120 ? text : `${text.slice(0, 120)}…`;
}
