/**
 * The one place where Firstlight makes a request to a server: what holds for all requests is stated here, so that none
 * can forget it (eslint.config.js forbids `fetch` elsewhere in src).
 *
 * In: an address and what is particular to this request. Out: what `fetch` answers. Guarantees: no cookie is sent, and no
 * `Referer` (Referrer Policy, section 3.1). Some hosts refuse pages by their `Referer`, and no server needs to know which
 * page loads a model. Neither rule changes where a request is redirected to.
 */

/** `fetch`, or what stands in for it. Always called bare: a method call would be an illegal invocation in a browser. */
export type Fetch = (url: string, init: RequestInit) => Promise<Response>;

/** What one request may state. */
export interface SendOptions {
  /** Default `GET`. */
  readonly method?: 'GET' | 'HEAD' | undefined;
  readonly headers?: Readonly<Record<string, string>> | undefined;
  /** What the answer may come from. */
  readonly cache: RequestCache;
  /** Default `cors`. */
  readonly mode?: 'cors' | 'no-cors' | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** Sends one request. Rejects as `fetch` does. */
export function send(url: string, options: SendOptions, fetch: Fetch = platformFetch): Promise<Response> {
  const { method = 'GET', headers = {}, cache, mode = 'cors', signal } = options;
  const init = { method, headers: { ...headers }, cache, mode, ...(signal === undefined ? {} : { signal }) };
  return fetch(url, { ...init, credentials: 'omit', referrerPolicy: 'no-referrer' });
}

/** The global one as it is at the call. */
export const platformFetch: Fetch = (url, init) => globalThis.fetch(url, init);
