/**
 * An answer before it is sent, and how file contents become one: ranges, validators and the faults that bend them. Pure.
 */
import type { IncomingHttpHeaders } from 'node:http';
import type { Content } from './content.ts';
import type { Fault } from './misbehave.ts';

/** What will be sent. */
export interface Answer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: AnswerBody | null;
}

/** A half-open range of a content. */
export interface AnswerBody {
  readonly content: Content;
  readonly start: number;
  readonly end: number;
}

/** A file's bytes and the validators that go with them. */
export interface Served {
  readonly content: Content;
  /** Without quotes. */
  readonly etag: string;
  readonly headers: Readonly<Record<string, string>>;
}

/** Answers a GET or HEAD for `served` by RFC 9110: one range at most, strong validators. */
export function answerContent(request: IncomingHttpHeaders, served: Served, fault: Fault | null): Answer {
  const { content, etag } = bend(served, fault);
  const sizeBytes = content.sizeBytes;
  const headers = { 'Accept-Ranges': 'bytes', ETag: `"${etag}"`, ...served.headers };
  const whole: Answer = {
    status: 200,
    headers: { ...headers, 'Content-Length': String(sizeBytes) },
    body: { content, start: 0, end: sizeBytes },
  };
  if (fault?.type === 'wholeBody' || fault?.type === 'gzip') return whole;
  if (request['if-none-match'] === `"${etag}"`) return { status: 304, headers, body: null };
  const ifRange = request['if-range'];
  if (ifRange !== undefined && ifRange !== `"${etag}"`) return whole;
  const range = parseRange(request.range, sizeBytes);
  if (range === null) return whole;
  if (range === 'unsatisfiable') {
    return {
      status: 416,
      headers: { ...headers, 'Content-Range': `bytes */${sizeBytes}`, 'Content-Length': '0' },
      body: null,
    };
  }
  const { start, end } = range;
  const shift = fault?.type === 'contentRange' ? (fault.shiftBytes ?? 0) : 0;
  const stated = `bytes ${start + shift}-${end - 1 + shift}/${sizeBytes}`;
  return {
    status: 206,
    headers: {
      ...headers,
      'Content-Range': fault?.type === 'contentRange' ? (fault.value ?? stated) : stated,
      'Content-Length': String(end - start),
    },
    body: { content, start, end },
  };
}

/** A short text, e.g. JSON. */
export function answerText(status: number, type: string, text: string, headers: Record<string, string> = {}): Answer {
  const bytes = new TextEncoder().encode(text);
  const content: Content = {
    sizeBytes: bytes.byteLength,
    *read(start, end) {
      yield bytes.subarray(start, end);
    },
  };
  return {
    status,
    headers: { 'Content-Type': type, 'Content-Length': String(bytes.byteLength), ...headers },
    body: { content, start: 0, end: bytes.byteLength },
  };
}

export function answerJson(status: number, json: unknown, headers: Record<string, string> = {}): Answer {
  return answerText(status, 'application/json; charset=utf-8', JSON.stringify(json), headers);
}

/** `bytes=a-b`, `bytes=a-`, `bytes=-n`; null (send everything) for whatever else, as RFC 9110 allows. */
export function parseRange(
  header: string | undefined,
  sizeBytes: number,
): { readonly start: number; readonly end: number } | 'unsatisfiable' | null {
  const match = /^bytes=(\d*)-(\d*)$/.exec(header ?? '');
  if (match === null) return null;
  const [, first = '', last = ''] = match;
  if (first === '' && last === '') return null;
  if (first === '') {
    const suffix = Math.min(Number(last), sizeBytes);
    return suffix === 0 ? 'unsatisfiable' : { start: sizeBytes - suffix, end: sizeBytes };
  }
  const start = Number(first);
  const end = last === '' ? sizeBytes : Math.min(Number(last) + 1, sizeBytes);
  if (last !== '' && Number(last) < start) return null;
  return start >= sizeBytes ? 'unsatisfiable' : { start, end };
}

/** The content and ETag as the fault has them. */
function bend(served: Served, fault: Fault | null): { readonly content: Content; readonly etag: string } {
  const { content, etag } = served;
  if (fault?.type === 'flipBit') {
    const mask = 2 ** (fault.bit ?? 0);
    return {
      etag,
      content: mapBytes(content, (piece, at) => {
        const index = fault.fileOffset - at;
        if (index >= 0 && index < piece.byteLength) piece[index] = (piece[index] ?? 0) ^ mask;
      }),
    };
  }
  if (fault?.type === 'changed') {
    const invert = (piece: Uint8Array): void => {
      for (let index = 0; index < piece.byteLength; index++) piece[index] = (piece[index] ?? 0) ^ 0xff;
    };
    return { etag: `changed-${etag}`, content: mapBytes(content, invert) };
  }
  return { content, etag };
}

function mapBytes(content: Content, change: (piece: Uint8Array, at: number) => void): Content {
  return {
    sizeBytes: content.sizeBytes,
    async *read(start, end) {
      let at = start;
      for await (const piece of content.read(start, end)) {
        const copy = piece.slice();
        change(copy, at);
        yield copy;
        at += piece.byteLength;
      }
    },
  };
}
