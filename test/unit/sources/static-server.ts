/**
 * A plain static web server over one folder, with the habits, good and bad, of real ones. Knows nothing of models.
 */
import { readFile, stat } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';

/** How it behaves; may be changed while it runs. */
export interface Habits {
  /** Answers 206 to ranges. */
  ranges: boolean;
  /** What stands in for a file that is not there. */
  missing: 404 | 403 | 'page' | 'page-as-text';
  validators: 'etag' | 'last-modified' | 'none';
  /** Lets pages of other origins read its answers; `bare` without exposing any header. */
  cors: 'none' | 'bare' | 'exposed';
  /** Compresses text for whoever accepts it. */
  gzip: boolean;
  /** Sends whole bodies without a length. */
  chunked: boolean;
  /** Answers this to everything. */
  status: number | null;
  /** Counts as the ETag's version: another number, another version of every file. */
  version: number;
  /** Answers to HEAD. */
  head: boolean;
  /** Sends everybody on to a signed address, as object stores do. */
  signed: boolean;
}

/** One request that it saw. */
export interface SeenRequest {
  readonly method: string;
  readonly path: string;
  readonly range: string | null;
  readonly authorization: string | null;
}

export interface StaticServer {
  /** Of the folder, without a slash at the end. */
  readonly baseUrl: string;
  readonly habits: Habits;
  readonly seen: SeenRequest[];
  close(): Promise<void>;
}

const PAGE = '<!doctype html><title>Welcome</title><p>An app that routes in the page.';

export async function startStaticServer(folder: string, habits: Partial<Habits> = {}): Promise<StaticServer> {
  const now: Habits = {
    ranges: true,
    missing: 404,
    validators: 'etag',
    cors: 'none',
    gzip: false,
    chunked: false,
    status: null,
    version: 1,
    head: true,
    signed: false,
    ...habits,
  };
  const seen: SeenRequest[] = [];
  const server = createServer((request, response) => {
    if (now.signed && !request.url?.includes('?')) {
      response.writeHead(302, { Location: `${request.url}?X-Amz-Signature=secret` }).end();
      return;
    }
    const path = decodeURIComponent((request.url ?? '').replace(/\?.*$/u, '').replace(/^\/models\/the%20model\//u, ''));
    seen.push({
      method: request.method ?? '',
      path,
      range: request.headers.range ?? null,
      authorization: request.headers.authorization ?? null,
    });
    void answer(join(folder, path), request, response, now);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  return {
    baseUrl: `http://127.0.0.1:${port}/models/the%20model`,
    habits: now,
    seen,
    close: () =>
      new Promise((resolve) => {
        server.closeAllConnections();
        server.close(() => resolve());
      }),
  };
}

async function answer(path: string, request: IncomingMessage, response: ServerResponse, habits: Habits): Promise<void> {
  if (habits.cors !== 'none') response.setHeader('Access-Control-Allow-Origin', '*');
  if (habits.cors === 'exposed') response.setHeader('Access-Control-Expose-Headers', 'Content-Range, ETag');
  response.setHeader('Cross-Origin-Resource-Policy', 'cross-origin');
  if (habits.status !== null) {
    end(response, habits.status, 'text/plain', 'no');
    return;
  }
  if (request.method === 'HEAD' && !habits.head) {
    end(response, 405, 'text/plain', 'no');
    return;
  }
  const file = await stat(path).catch(() => null);
  if (!file?.isFile()) {
    if (habits.missing === 'page') {
      end(response, 200, 'text/html; charset=utf-8', PAGE);
      return;
    }
    if (habits.missing === 'page-as-text') {
      end(response, 200, 'text/plain', PAGE);
      return;
    }
    end(response, habits.missing, 'text/html', PAGE);
    return;
  }
  let bytes: Uint8Array = await readFile(path);
  if (habits.validators === 'etag') response.setHeader('ETag', `"${habits.version}-${bytes.length}"`);
  if (habits.validators === 'last-modified') response.setHeader('Last-Modified', file.mtime.toUTCString());
  response.setHeader('Content-Type', path.endsWith('.json') ? 'application/json' : 'application/octet-stream');
  const range = /^bytes=(\d+)-(\d*)$/u.exec(request.headers.range ?? '');
  if (range && habits.ranges) {
    const start = Number(range[1]);
    const end = range[2] ? Math.min(Number(range[2]) + 1, bytes.length) : bytes.length;
    if (start >= bytes.length) {
      response.writeHead(416, { 'Content-Range': `bytes */${bytes.length}` }).end();
      return;
    }
    response.writeHead(206, {
      'Content-Range': `bytes ${start}-${end - 1}/${bytes.length}`,
      'Content-Length': end - start,
    });
    response.end(bytes.subarray(start, end));
    return;
  }
  if (habits.gzip && /gzip/u.test(String(request.headers['accept-encoding'])) && /\.(json|jinja)$/u.test(path)) {
    bytes = gzipSync(bytes);
    response.setHeader('Content-Encoding', 'gzip');
  }
  if (!habits.chunked) response.setHeader('Content-Length', bytes.length);
  response.writeHead(200);
  if (request.method !== 'HEAD') response.write(bytes);
  response.end();
}

function end(response: ServerResponse, status: number, type: string, body: string): void {
  response.writeHead(status, { 'Content-Type': type, 'Content-Length': Buffer.byteLength(body) }).end(body);
}
