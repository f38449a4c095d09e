/**
 * Serves a built app as a static host would, with or without the headers of cross-origin isolation, and can go away.
 *
 * In: a folder. Out: an origin, a log of what was asked. Guarantees: what is not in the folder is a 404; ranges are served;
 * after `stop` every connection is refused, and after `start` the same origin answers again.
 */
import { readFile } from 'node:fs/promises';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { extname, join, normalize } from 'node:path';
import { Listener } from '../hub/listener.ts';

const TYPES: Readonly<Record<string, string>> = {
  '.css': 'text/css',
  '.html': 'text/html',
  '.js': 'text/javascript',
  '.json': 'application/json',
  '.svg': 'image/svg+xml',
  '.wasm': 'application/wasm',
  '.webmanifest': 'application/manifest+json',
};

/** What a static host sends, or cannot be told to send. */
export const ISOLATION = {
  'Cross-Origin-Opener-Policy': 'same-origin',
  'Cross-Origin-Embedder-Policy': 'require-corp',
} as const;

/** One request that was answered. */
export interface ServedRequest {
  readonly path: string;
  readonly range: string | null;
  readonly status: number;
  readonly sizeBytes: number;
}

/** See the file's header. */
export class AppServer {
  /** May be changed while it runs: the next deployment. */
  folder: string;
  headers: Readonly<Record<string, string>>;
  /** Paths answered with this text instead of what the folder holds; null: 404. */
  readonly instead = new Map<string, string | null>();
  readonly requests: ServedRequest[] = [];
  readonly #listener = new Listener('localhost', 0, (request, response) => this.#answer(request, response));

  constructor(folder: string, headers: Readonly<Record<string, string>> = ISOLATION) {
    this.folder = folder;
    this.headers = headers;
  }

  get origin(): string {
    return this.#listener.origin;
  }

  start(): Promise<void> {
    return this.#listener.start();
  }

  stop(): Promise<void> {
    return this.#listener.stop();
  }

  /** Paths of what was asked since the beginning. */
  pathsOf(pattern: RegExp): string[] {
    return this.requests.map(({ path }) => path).filter((path) => pattern.test(path));
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const { pathname } = new URL(request.url ?? '/', this.origin);
    const path = pathname.endsWith('/') ? `${pathname}index.html` : pathname;
    const body = await this.#read(path);
    const range = /^bytes=(\d+)-(\d+)$/u.exec(request.headers.range ?? '');
    const part = range && body ? body.subarray(Number(range[1]), Number(range[2]) + 1) : body;
    const status = body === null ? 404 : range ? 206 : 200;
    response.writeHead(status, {
      ...this.headers,
      'Content-Type': TYPES[extname(path)] ?? 'application/octet-stream',
      'Content-Length': part?.length ?? 0,
      'Cache-Control': 'no-cache',
      ...(range && body ? { 'Content-Range': `bytes ${range[1]}-${range[2]}/${body.length}` } : {}),
    });
    response.end(part);
    const sizeBytes = part?.length ?? 0;
    this.requests.push({ path: pathname, range: request.headers.range ?? null, status, sizeBytes });
  }

  async #read(path: string): Promise<Buffer | null> {
    const instead = this.instead.get(path);
    if (instead !== undefined) return instead === null ? null : Buffer.from(instead);
    return readFile(join(this.folder, normalize(decodeURIComponent(path)))).catch(() => null);
  }
}
