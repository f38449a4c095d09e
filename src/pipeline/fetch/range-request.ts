/**
 * One request for one range of a file, and whether the answer is one.
 *
 * In: an address, a half-open range, the file's announced size. Out: a body whose first byte is at a known offset: the
 * range (206 with exactly the right `Content-Range`), or the whole file (200).
 * Guarantees: nothing else is ever taken for bytes of the file; every other answer is a LoadError whose `retryable` says
 * whether to ask again (RFC 9110, sections 14 and 15.5).
 *
 * `If-Range` is not sent: it is no CORS-safelisted header, so it would cost a preflight that CDNs refuse. The caller
 * compares the returned ETag instead, which tells the same.
 */
import { platformFetch } from '../../base/send.ts';
import { isLoadError, LoadError } from '../../contract/errors.ts';
import { requestHub } from '../../hub/request.ts';
import { toSafeUrl } from '../../hub/urls.ts';

/** What is asked. */
export interface RangeRequest {
  readonly url: string;
  readonly start: number;
  readonly end: number;
  readonly sizeBytes: number;
  /** The token goes to the endpoint's origin only (see hub/request.ts). */
  readonly endpoint: string;
  readonly token: string | null;
  readonly modelId: string;
  readonly commit: string;
  readonly path: string;
  /** False asks for the whole file without a Range header (servers that compress ranges). */
  readonly useRange: boolean;
  /** Whether a hash will prove the bytes, so that a `Content-Range` hidden by CORS may be done without. */
  readonly hasHash: boolean;
  readonly signal: AbortSignal;
}

/** A usable answer. */
export interface RangeAnswer {
  /** Offset of the body's first byte. */
  readonly start: number;
  /** Where the body must end. */
  readonly end: number;
  readonly whole: boolean;
  readonly body: ReadableStream<Uint8Array<ArrayBuffer>>;
  /** As they were sent; null where the server sent none, or hides them from this page. */
  readonly etag: string | null;
  readonly lastModified: string | null;
  /** The ETag where it promises equal bytes. */
  readonly strongEtag: string | null;
  /** Where the bytes came from, without the query (which may be a signature). */
  readonly address: string;
  /** The address after redirects, null without any: later ranges may ask there directly. Never stored or logged. */
  readonly redirectedUrl: string | null;
}

/** Sends the request; see the file's header. */
export async function requestRange(request: RangeRequest): Promise<RangeAnswer> {
  let answered: Response | undefined;
  const observedFetch = async (url: string, init: RequestInit): Promise<Response> => {
    answered = await platformFetch(url, init);
    return answered;
  };
  let response: Response;
  try {
    response = await requestHub(
      { endpoint: request.endpoint, token: request.token, fetch: observedFetch },
      request.url,
      { modelId: request.modelId, revision: request.commit, path: request.path },
      {
        signal: request.signal,
        headers: request.useRange ? { Range: `bytes=${request.start}-${request.end - 1}` } : {},
        // The bytes go to our own cache; and a stored redirect would keep an expired signature alive.
        cache: 'no-store',
      },
    );
  } catch (error) {
    throw answered ? toRangeError(request, answered, error) : error;
  }
  try {
    return readAnswer(request, response);
  } catch (error) {
    await response.body?.cancel().catch(() => undefined);
    throw error;
  }
}

/** `bytes 0-7/100` → its numbers; `sizeBytes` null for `*`; null where the header is anything else. */
export function parseContentRange(
  header: string | null,
): { readonly start: number; readonly end: number; readonly sizeBytes: number | null } | null {
  const match = /^bytes (\d{1,16})-(\d{1,16})\/(\d{1,16}|\*)$/.exec(header?.trim() ?? '');
  if (!match) return null;
  const [start, last] = [Number(match[1]), Number(match[2])];
  const sizeBytes = match[3] === '*' ? null : Number(match[3]);
  if (last < start || (sizeBytes !== null && last >= sizeBytes)) return null;
  return { start, end: last + 1, sizeBytes };
}

function readAnswer(request: RangeRequest, response: Response): RangeAnswer {
  const { body } = response;
  if (!body || (response.status !== 206 && response.status !== 200)) {
    throw rangeInvalid(request, `the answer has status ${response.status} and ${body ? 'a' : 'no'} body`, {});
  }
  const finalUrl = response.url || request.url;
  const common = {
    body,
    etag: response.headers.get('ETag'),
    lastModified: response.headers.get('Last-Modified'),
    strongEtag: readStrongEtag(response.headers.get('ETag')),
    address: toSafeUrl(finalUrl),
    redirectedUrl: response.redirected ? finalUrl : null,
  };
  if (response.status === 200) return { ...common, start: 0, end: request.sizeBytes, whole: true };
  checkRange(request, response);
  return { ...common, start: request.start, end: request.end, whole: false };
}

function checkRange(request: RangeRequest, response: Response): void {
  if (!request.useRange) throw rangeInvalid(request, 'a 206 to a request without Range', {});
  const encoding = response.headers.get('Content-Encoding');
  if (encoding !== null && encoding !== 'identity') {
    throw rangeInvalid(request, `a range compressed with ${encoding}`, { rangesUseless: true });
  }
  const header = response.headers.get('Content-Range');
  if (header === null && isCrossOrigin(response)) {
    // Hidden by CORS. The length still has to agree, and the hash will prove the bytes; without one nothing can.
    const length = response.headers.get('Content-Length');
    const agrees = length === null || Number(length) === request.end - request.start;
    if (agrees && request.hasHash) return;
    if (agrees) throw rangeInvalid(request, 'the host hides Content-Range from pages', { rangesUseless: true });
  }
  const range = parseContentRange(header);
  if (!range || range.start !== request.start || range.end !== request.end) {
    const wanted = `bytes ${request.start}-${request.end - 1}`;
    throw rangeInvalid(request, `asked for ${wanted}, answered with Content-Range ${header ?? '(none)'}`, {});
  }
  if (range.sizeBytes !== null && range.sizeBytes !== request.sizeBytes) {
    throw new LoadError('size_mismatch', {
      message: `${toSafeUrl(request.url)} has ${range.sizeBytes} bytes; ${request.sizeBytes} were announced.`,
      detail: {
        url: toSafeUrl(request.url),
        path: request.path,
        expectedBytes: request.sizeBytes,
        actualBytes: range.sizeBytes,
      },
    });
  }
}

function rangeInvalid(request: RangeRequest, what: string, detail: Record<string, unknown>): LoadError {
  const url = toSafeUrl(request.url);
  return new LoadError('range_invalid', {
    retryable: true,
    message: `${url}: ${what}.`,
    detail: { url, path: request.path, start: request.start, end: request.end, ...detail },
  });
}

/** What the hub's error means for a range: an expired signature and a shorter file have statuses of their own. */
function toRangeError(request: RangeRequest, response: Response, error: unknown): unknown {
  const url = toSafeUrl(request.url);
  if (response.status === 416) {
    return new LoadError('size_mismatch', {
      message: `${url} has no bytes ${request.start}-${request.end - 1}; ${request.sizeBytes} bytes were announced.`,
      detail: { url, path: request.path, expectedBytes: request.sizeBytes },
      cause: error,
    });
  }
  const elsewhere = response.url !== '' && new URL(response.url).origin !== new URL(request.endpoint).origin;
  if (elsewhere && EXPIRED_STATUSES.has(response.status)) {
    return new LoadError('http_status', {
      message: `The signed address of ${request.path} was refused with ${response.status}.`,
      retryable: true,
      detail: { url: toSafeUrl(response.url), path: request.path, status: response.status, expiredRedirect: true },
      cause: isLoadError(error) ? undefined : error,
    });
  }
  return error;
}

/** What storage hosts answer to a signature that has run out. */
const EXPIRED_STATUSES = new Set([400, 401, 403, 404, 410]);

function isCrossOrigin(response: Response): boolean {
  return response.type === 'cors' || response.type === 'opaque';
}

/** Weak validators promise no equal bytes (RFC 9110, 8.8.1), so they compare with nothing. */
function readStrongEtag(header: string | null): string | null {
  return header !== null && /^".*"$/s.test(header) ? header : null;
}
