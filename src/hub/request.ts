/**
 * One request to a hub. In: a URL of `urls.ts`. Out: a response with a good status, or a typed error.
 *
 * Guarantees: the token travels in the `Authorization` header only, and only to the endpoint's own origin (a redirect to
 * another origin loses it: the Fetch standard, "HTTP-redirect fetch", step 13, has the browser drop it); neither cookies
 * nor a `Referer` are sent (see base/send.ts); an abort ends the request; silence ends it after a time.
 */
import { abortedError, throwIfAborted } from '../base/abort.ts';
import { blockedByPolicy, findViolation } from '../base/policy-violations.ts';
import { isTransient, retry, type RetryOptions } from '../base/retry.ts';
import { type Fetch, send } from '../base/send.ts';
import { isLoadError, LoadError } from '../contract/errors.ts';
import { readText } from './read-body.ts';
import { errorFromResponse, type RequestSubject } from './response-error.ts';

/** Where requests go and on whose behalf. */
export interface HubAccess {
  /** Without a trailing slash (see `checkEndpoint`). */
  readonly endpoint: string;
  readonly token: string | null;
  readonly fetch: Fetch;
}

/** What else a request may state. */
export interface HubRequestOptions {
  readonly signal?: AbortSignal | undefined;
  /** e.g. `Range`, `If-Range`. */
  readonly headers?: Readonly<Record<string, string>> | undefined;
  readonly method?: 'GET' | 'HEAD' | undefined;
  /** What the answer may come from. Default `no-cache`: ask the server, which may say that nothing changed. */
  readonly cache?: RequestCache | undefined;
}

/** How the small requests of a listing are repeated and bounded. */
export interface TextRequestOptions {
  readonly signal?: AbortSignal | undefined;
  /** For one attempt, headers and body together. */
  readonly timeoutMs: number;
  readonly maxBytes: number;
  readonly retry?: Omit<RetryOptions, 'signal'> | undefined;
}

/**
 * Sends one request and yields the response if its status is 2xx (or 304).
 *
 * @throws LoadError `network_unreachable`, `rate_limited`, `http_status` and the hub's own codes (see
 * `response-error.ts`), `aborted`
 */
export async function requestHub(
  access: HubAccess,
  url: string,
  subject: Omit<RequestSubject, 'endpoint' | 'hasToken'>,
  options: HubRequestOptions = {},
): Promise<Response> {
  const { signal } = options;
  throwIfAborted(signal);
  const hasToken = access.token !== null && isSameOrigin(url, access.endpoint);
  let response: Response;
  try {
    const headers = { ...options.headers, ...(hasToken ? { Authorization: `Bearer ${access.token}` } : {}) };
    const { method, cache = 'no-cache' } = options;
    response = await send(url, { method, headers, cache, signal }, access.fetch);
  } catch (error) {
    throw networkError(error, url, signal);
  }
  if (response.ok || response.status === 304) return response;
  throw await errorFromResponse(response, { ...subject, endpoint: access.endpoint, hasToken });
}

/** A JSON answer with the response that brought it; transient failures are retried. */
export async function requestJson(
  access: HubAccess,
  url: string,
  subject: Omit<RequestSubject, 'endpoint' | 'hasToken'>,
  options: TextRequestOptions,
): Promise<{ readonly json: unknown; readonly response: Response }> {
  const { text, response } = await requestText(access, url, subject, options);
  return { json: parseJson(text, response, url), response };
}

/** A whole answer with the response that brought it; transient failures are retried. */
export async function requestText(
  access: HubAccess,
  url: string,
  subject: Omit<RequestSubject, 'endpoint' | 'hasToken'>,
  options: TextRequestOptions,
): Promise<{ readonly text: string; readonly response: Response }> {
  return retry(() => requestTextOnce(access, url, subject, options), {
    isRetryable: isTransient,
    ...options.retry,
    signal: options.signal,
  });
}

async function requestTextOnce(
  access: HubAccess,
  url: string,
  subject: Omit<RequestSubject, 'endpoint' | 'hasToken'>,
  options: TextRequestOptions,
): Promise<{ readonly text: string; readonly response: Response }> {
  const limit = new AbortController();
  const timer = setTimeout(() => limit.abort(), options.timeoutMs);
  const signal = options.signal ? AbortSignal.any([options.signal, limit.signal]) : limit.signal;
  try {
    const response = await requestHub(access, url, subject, { signal });
    const text = await readText(response, options.maxBytes).catch((error: unknown) => {
      throw isLoadError(error) ? error : networkError(error, url, signal);
    });
    return { text, response };
  } catch (error) {
    if (limit.signal.aborted && !options.signal?.aborted) throw timeoutError(url, options.timeoutMs);
    throw error;
  } finally {
    clearTimeout(timer);
  }
}

/**
 * What a page can know of a request that got no answer: `fetch` says "failed" for offline, DNS, TLS, CORS and a content security
 * policy alike. What a policy blocks is told a moment later, so that the next attempt knows it.
 */
export function networkError(error: unknown, url: string, signal: AbortSignal | undefined): LoadError {
  if (signal?.aborted) return abortedError(signal);
  const { origin } = new URL(url);
  const violation = findViolation(['connect-src'], url);
  if (violation) return blockedByPolicy(violation, `connect-src ${origin}`);
  const onLine = typeof navigator === 'undefined' ? undefined : (navigator as { onLine?: boolean }).onLine;
  const message =
    onLine === false
      ? `This device is offline, so ${origin} was not reached.`
      : `No usable answer from ${origin}: the network or the server is down, ` +
        'or the server does not let pages of other sites read it (CORS).';
  return new LoadError('network_unreachable', {
    message,
    retryable: true,
    detail: { origin, onLine: onLine ?? null },
    cause: error,
  });
}

function timeoutError(url: string, timeoutMs: number): LoadError {
  const { origin } = new URL(url);
  return new LoadError('network_unreachable', {
    message: `${origin} did not answer within ${timeoutMs / 1000} s.`,
    retryable: true,
    detail: { origin, timeoutMs },
  });
}

function parseJson(text: string, response: Response, url: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    const { origin, pathname } = new URL(url);
    throw new LoadError('listing_invalid', {
      message: `${origin}${pathname} should have answered with JSON. Is the endpoint really a hub?`,
      detail: { contentType: response.headers.get('Content-Type'), start: text.slice(0, 80) },
      cause: error,
    });
  }
}

function isSameOrigin(url: string, endpoint: string): boolean {
  return new URL(url).origin === new URL(endpoint).origin;
}
