/**
 * Sending an answer: pacing, accounting, and the faults of the wire (cut, stall, wrong length, gzip, delay, drop).
 */
import { once } from 'node:events';
import type { ServerResponse } from 'node:http';
import { Readable } from 'node:stream';
import { createGzip } from 'node:zlib';
import { type Answer, answerJson, answerText } from './answer.ts';
import type { Fault } from './misbehave.ts';
import type { LoggedRequest } from './request-log.ts';

/** One request in progress. */
export interface Exchange {
  readonly response: ServerResponse;
  readonly log: LoggedRequest;
  readonly fault: Fault | null;
  /** CORS headers of this origin for this request. */
  readonly cors: Readonly<Record<string, string>>;
  readonly latencyMs: number;
  /** Waits until so many body bytes may be sent. */
  readonly pace: ((sizeBytes: number) => Promise<void>) | null;
}

/** Sends `answer`, bent by the exchange's fault. Resolves when the exchange is over, one way or the other. */
export async function deliver(exchange: Exchange, answer: Answer): Promise<void> {
  const { response, log, fault } = exchange;
  const delayMs = exchange.latencyMs + (fault?.type === 'delay' ? fault.beforeHeadersMs : 0);
  if (delayMs > 0) await sleepUnlessClosed(response, delayMs);
  if (fault?.type === 'drop') {
    response.socket?.resetAndDestroy();
    return;
  }
  if (response.destroyed) return;
  const sent = fault === null ? answer : replace(fault, answer);
  const headers: Record<string, string> = { ...sent.headers, ...corsHeaders(exchange) };
  if (fault?.type === 'gzip' && sent.body !== null) {
    delete headers['Content-Length'];
    headers['Content-Encoding'] = 'gzip';
  }
  const bodyBytes = sent.body === null ? 0 : sent.body.end - sent.body.start;
  const statedBytes = fault?.type === 'length' ? Math.max(0, bodyBytes + fault.deltaBytes) : bodyBytes;
  if (fault?.type === 'length' && sent.body !== null) headers['Content-Length'] = String(statedBytes);

  log.status = sent.status;
  response.writeHead(sent.status, headers);
  if (log.method === 'HEAD' || sent.body === null) {
    response.end();
    log.completed = true;
    return;
  }
  const { content, start, end } = sent.body;
  const pieces = content.read(start, Math.min(end, start + statedBytes));
  const source = fault?.type === 'gzip' ? Readable.from(pieces).pipe(createGzip()) : pieces;
  const stops = findStops(fault, bodyBytes);
  for await (const piece of source as AsyncIterable<Uint8Array>) {
    if (!(await sendPiece(exchange, piece, stops))) return;
  }
  if (statedBytes > bodyBytes && !(await sendPiece(exchange, new Uint8Array(statedBytes - bodyBytes), stops))) return;
  log.completed = true;
  response.end();
}

/** Body offsets at which something happens. */
interface Stops {
  readonly cutAt: number;
  readonly stallAt: number;
}

function findStops(fault: Fault | null, bodyBytes: number): Stops {
  const cutAt =
    fault?.type === 'cut'
      ? fault.afterBytes
      : fault?.type === 'cutRandom'
        ? Math.floor((fault.seed / 1e6) * bodyBytes)
        : Infinity;
  return { cutAt, stallAt: fault?.type === 'stall' ? fault.afterBytes : Infinity };
}

/** False where the connection is over. */
async function sendPiece(exchange: Exchange, piece: Uint8Array, stops: Stops): Promise<boolean> {
  const { response, log, fault } = exchange;
  for (let at = 0; at < piece.byteLength || log.bytesSent >= stops.cutAt;) {
    if (isOver(response)) return false;
    if (log.bytesSent === stops.stallAt && fault?.type === 'stall') {
      await sleepUnlessClosed(response, fault.forMs ?? Infinity);
      if (isOver(response)) return false;
      stops = { ...stops, stallAt: Infinity };
    }
    if (log.bytesSent >= stops.cutAt) {
      await flush(response);
      const reset = (fault?.type === 'cut' || fault?.type === 'cutRandom') && fault.reset === true;
      if (reset) response.socket?.resetAndDestroy();
      else response.socket?.destroy();
      return false;
    }
    const untilStop = Math.min(stops.cutAt, stops.stallAt) - log.bytesSent;
    const size = Math.min(piece.byteLength - at, untilStop, exchange.pace === null ? Infinity : PACED_BYTES);
    if (exchange.pace !== null) await exchange.pace(size);
    if (isOver(response)) return false;
    const flowing = response.write(piece.subarray(at, at + size));
    log.bytesSent += size;
    at += size;
    if (!flowing) await drainOrClose(response);
    if (log.bytesSent === stops.stallAt) await flush(response);
  }
  return true;
}

/** Small enough for an even flow at 12.5 MB/s, large enough to cost little at 50. */
const PACED_BYTES = 32 * 1024;

function replace(fault: Fault, answer: Answer): Answer {
  if (fault.type === 'status') {
    const retryAfter = fault.retryAfterSeconds;
    return answerText(fault.status, 'application/json', fault.body ?? '{"error":"This is a test."}', {
      ...fault.headers,
      ...(retryAfter === undefined ? {} : { 'Retry-After': String(retryAfter) }),
    });
  }
  if (fault.type === 'json') return answerJson(fault.status ?? 200, fault.body);
  return answer;
}

function corsHeaders(exchange: Exchange): Record<string, string> {
  const { fault, cors } = exchange;
  if (fault?.type === 'noCors' || (fault?.type === 'expired' && fault.cors === false)) return {};
  if (fault?.type === 'status' && fault.exposed === true) return { ...cors, 'Access-Control-Expose-Headers': '*' };
  if (fault?.type !== 'hiddenHeaders') return { ...cors };
  return Object.fromEntries(Object.entries(cors).filter(([name]) => name !== 'Access-Control-Expose-Headers'));
}

/** Resolves when everything written so far has left for the kernel. */
async function flush(response: ServerResponse): Promise<void> {
  response.flushHeaders();
  do {
    await new Promise((resolve) => setImmediate(resolve));
  } while (!response.destroyed && (response.socket?.writableLength ?? 0) > 0);
}

/** Read afresh each time: a client goes away whenever it likes. */
function isOver(response: ServerResponse): boolean {
  return response.destroyed;
}

async function drainOrClose(response: ServerResponse): Promise<void> {
  const ended = new AbortController();
  try {
    await Promise.race([once(response, 'drain', ended), once(response, 'close', ended)]);
  } finally {
    ended.abort();
  }
}

async function closed(response: ServerResponse): Promise<void> {
  if (!response.destroyed) await once(response, 'close');
}

async function sleepUnlessClosed(response: ServerResponse, delayMs: number): Promise<void> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const slept = new Promise<void>((resolve) => {
    if (Number.isFinite(delayMs)) timer = setTimeout(resolve, delayMs);
  });
  await Promise.race([slept, closed(response)]);
  clearTimeout(timer);
}
