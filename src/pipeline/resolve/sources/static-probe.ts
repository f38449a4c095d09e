/**
 * Is a file at this address, how large is it, and which version? For static servers, which list nothing.
 *
 * In: an address. Out: size and validator, or null where there is no such file. Guarantees: costs a byte where the server
 * does ranges; a web page that stands in for a missing file is not taken for the file; no cookie and no token is sent;
 * the size is one of the decoded bytes, whatever the transport compresses.
 *
 * Why a range of one byte and not HEAD: an answer to HEAD states the size of what a GET would send, compressed with what the
 * browser accepts, and to pages of other origins `Content-Encoding` is hidden. With `Range`, browsers ask for bytes as they
 * are (Fetch, "HTTP-network-or-cache fetch": `Accept-Encoding: identity`).
 */
import { throwIfAborted } from '../../../base/abort.ts';
import { retry } from '../../../base/retry.ts';
import { send, type SendOptions } from '../../../base/send.ts';
import { isLoadError, LoadError } from '../../../contract/errors.ts';
import { networkError } from '../../../hub/request.ts';
import { isRetryableStatus, statusError } from '../../../hub/response-error.ts';
import { toSafeUrl } from '../../../hub/urls.ts';
import { parseContentRange } from '../../fetch/range-request.ts';
import type { AskOptions } from '../last-known.ts';

/** What decides how a size is found and what is no such file. Text is small enough to be counted. */
export type FileKind = 'json' | 'text' | 'weights';

/** A file that is there. */
export interface FoundFile {
  readonly sizeBytes: number;
  /** ETag, else Last-Modified; null where the server names neither, or hides them from this page. */
  readonly validator: string | null;
}

/** Larger text is none: the largest tokenizer.json have 40 MB. */
const MAX_TEXT_BYTES = 256 * 1024 * 1024;

/**
 * Looks for a file.
 * @param absentStatuses what this server may answer for a file that is not there
 * @throws LoadError `network_unreachable`, `rate_limited`, `http_status`, `range_invalid` (no size to be had), `aborted`
 */
export async function probeFile(
  url: string,
  kind: FileKind,
  absentStatuses: readonly number[],
  options: AskOptions,
): Promise<FoundFile | null> {
  const ranged = await ask(url, { headers: { Range: 'bytes=0-0' } }, options, async (response) => {
    if (response.status === 416) return toFound(response, 0); // not even one byte
    if (isAbsent(response, absentStatuses)) return null;
    if (kind === 'json' && isWebPage(await readFirstChunk(response))) return null;
    return toFound(response, readSize(response, kind));
  });
  if (ranged === null || isSized(ranged)) return ranged;
  if (kind === 'weights') {
    const head = await ask(url, { method: 'HEAD' }, options, async (response) =>
      toFound(response, response.ok ? readContentLength(response) : null),
    );
    if (isSized(head)) return head;
  }
  const whole = await ask(url, {}, options, async (response) => {
    if (isAbsent(response, absentStatuses)) return null;
    if (kind === 'weights') return toFound(response, readContentLength(response));
    const bytes = await readBytes(response);
    return kind === 'json' && isWebPage(bytes) ? null : toFound(response, bytes.byteLength);
  });
  if (whole === null || isSized(whole)) return whole;
  throw new LoadError('range_invalid', {
    message: `${url}: the server tells no size. Have it answer range requests, and expose Content-Range to pages.`,
    detail: { url },
  });
}

/** The whole of a small file. @throws LoadError as {@link probeFile} */
export async function readSmallFile(url: string, options: AskOptions): Promise<Uint8Array<ArrayBuffer>> {
  return ask(url, {}, options, async (response) => {
    if (!response.ok) throw refuse(url, response);
    return readBytes(response);
  });
}

/** One request with its retries. `read` takes what it needs; the rest of the body is cancelled. */
async function ask<T>(
  url: string,
  options: Pick<SendOptions, 'method' | 'headers'>,
  { signal, timeoutMs, retry: retries }: AskOptions,
  read: (response: Response) => Promise<T>,
): Promise<T> {
  const attempt = async (): Promise<T> => {
    throwIfAborted(signal);
    const limit = new AbortController();
    const timer = setTimeout(() => limit.abort(), timeoutMs);
    const either = signal ? AbortSignal.any([signal, limit.signal]) : limit.signal;
    try {
      const response = await send(url, { ...options, cache: 'no-store', signal: either });
      if (isRetryableStatus(response.status)) throw refuse(url, response);
      return await read(response);
    } catch (error) {
      if (isLoadError(error)) throw error;
      throw networkError(error, url, signal);
    } finally {
      clearTimeout(timer);
      limit.abort();
    }
  };
  return retry(attempt, { ...retries, signal });
}

function isAbsent(response: Response, absentStatuses: readonly number[]): boolean {
  if (absentStatuses.includes(response.status)) return true;
  if (response.status !== 200 && response.status !== 206) throw refuse(response.url, response);
  // Servers of single-page apps answer 200 with the page for whatever is not there.
  return /^\s*(text\/html|application\/xhtml)/iu.test(response.headers.get('Content-Type') ?? '');
}

/** No JSON begins with "<", every web page does, under whatever type it is sent. */
function isWebPage(bytes: Uint8Array | undefined): boolean {
  return bytes?.[0] === 0x3c;
}

async function readFirstChunk(response: Response): Promise<Uint8Array | undefined> {
  const first = await response.body?.getReader().read();
  return first?.value;
}

function readSize(response: Response, kind: FileKind): number | null {
  if (response.status === 206) return parseContentRange(response.headers.get('Content-Range'))?.sizeBytes ?? null;
  // A whole body: the server does no ranges. Text is counted where its encoding may be hidden.
  return response.type === 'cors' && kind !== 'weights' ? null : readContentLength(response);
}

/** Null where it is not there, or counts compressed bytes. */
function readContentLength(response: Response): number | null {
  const encoding = response.headers.get('Content-Encoding');
  const length = response.headers.get('Content-Length');
  if (length === null || !/^\d{1,15}$/u.test(length) || (encoding !== null && encoding !== 'identity')) return null;
  return Number(length);
}

async function readBytes(response: Response): Promise<Uint8Array<ArrayBuffer>> {
  const chunks: Uint8Array<ArrayBuffer>[] = [];
  let sizeBytes = 0;
  const reader = response.body?.getReader();
  for (;;) {
    const { done, value } = (await reader?.read()) ?? { done: true, value: undefined };
    if (done) break;
    sizeBytes += value.byteLength;
    if (sizeBytes > MAX_TEXT_BYTES) {
      throw new LoadError('listing_invalid', {
        message: `${toSafeUrl(response.url)} has more than ${MAX_TEXT_BYTES} bytes: no text of a model needs that.`,
        detail: { url: toSafeUrl(response.url), limitBytes: MAX_TEXT_BYTES },
      });
    }
    chunks.push(value);
  }
  const bytes = new Uint8Array(sizeBytes);
  let offset = 0;
  for (const chunk of chunks) {
    bytes.set(chunk, offset);
    offset += chunk.byteLength;
  }
  return bytes;
}

interface MaybeSized {
  readonly sizeBytes: number | null;
  readonly validator: string | null;
}

function toFound(response: Response, sizeBytes: number | null): MaybeSized {
  return { sizeBytes, validator: response.headers.get('ETag') ?? response.headers.get('Last-Modified') };
}

function isSized(found: MaybeSized): found is FoundFile {
  return found.sizeBytes !== null;
}

/** A redirect may have led to a signed address, which must not be told. */
function refuse(url: string, response: Response): LoadError {
  const shown = toSafeUrl(url);
  return statusError(response, url, shown, null, { url: shown });
}
