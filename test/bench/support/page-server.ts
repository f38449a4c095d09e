/**
 * Serves a benchmark's page and the library's sources to the browser, and carries calls to it: the page asks for its next
 * call and posts the result (`page-link.ts`).
 */
import type { IncomingMessage, ServerResponse } from 'node:http';
import { text } from 'node:stream/consumers';
import { fileURLToPath } from 'node:url';
import { createServer } from 'vite';
import { NEXT_PATH, RESULT_PATH, type PageCall, type PageResult } from './page-link.ts';

/** A running server. */
export interface PageServer {
  /** Of the page that was asked for. */
  readonly url: string;
  /** Resolves when the page asks for its first call. */
  pageReady(): Promise<void>;
  /** Runs a method in the page. */
  call(method: string, args: readonly unknown[]): Promise<unknown>;
  close(): Promise<void>;
}

/** `entry` is a page below the project's root. */
export async function startPageServer(entry: string): Promise<PageServer> {
  const root = fileURLToPath(new URL('../../../', import.meta.url));
  const calls = new CallQueue();
  const server = await createServer({
    configFile: false,
    root,
    logLevel: 'error',
    cacheDir: `${root}node_modules/.vite-bench/${entry.replaceAll('/', '-')}`,
    // The headers that a page needs for threads.
    server: {
      port: 0,
      host: '127.0.0.1',
      hmr: false,
      watch: null,
      headers: { 'Cross-Origin-Opener-Policy': 'same-origin', 'Cross-Origin-Embedder-Policy': 'require-corp' },
    },
    worker: { format: 'es' },
    // Found before the first page, so that no reload comes in between.
    optimizeDeps: {
      entries: [entry],
      include: ['comlink', 'hash-wasm', 'idb-keyval', '@bufbuild/protobuf'],
      exclude: ['onnxruntime-web', '@huggingface/transformers'],
    },
    resolve: { dedupe: ['onnxruntime-web', 'onnxruntime-common'] },
    plugins: [
      {
        name: 'bench-calls',
        configureServer: ({ middlewares }) => {
          middlewares.use(NEXT_PATH, (_, response) => calls.onNext(response));
          middlewares.use(RESULT_PATH, (request, response) => void calls.onResult(request, response));
        },
      },
    ],
  });
  await server.listen();
  return {
    url: `${server.resolvedUrls?.local[0] ?? ''}${entry}`,
    pageReady: () => calls.ready(),
    call: (method, args) => calls.call(method, args),
    close: () => server.close(),
  };
}

/** One call at a time: the page's open request for its next one, and ours for its result. */
class CallQueue {
  #page: ServerResponse | null = null;
  #onPage: (() => void) | null = null;
  #onResult: ((result: PageResult) => void) | null = null;

  async ready(): Promise<void> {
    while (this.#page === null) await new Promise<void>((resolve) => (this.#onPage = resolve));
  }

  onNext(response: ServerResponse): void {
    this.#page = response;
    // The page that asked may be gone (reloaded, or its browser closed).
    response.once('close', () => {
      if (this.#page === response) this.#page = null;
    });
    this.#onPage?.();
  }

  async onResult(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const result = JSON.parse(await text(request)) as PageResult;
    response.end();
    this.#onResult?.(result);
  }

  async call(method: string, args: readonly unknown[]): Promise<unknown> {
    await this.ready();
    const answered = new Promise<PageResult>((resolve) => (this.#onResult = resolve));
    const page = this.#page;
    this.#page = null;
    const call: PageCall = { method, args };
    page?.end(JSON.stringify(call));
    const { value, error } = await answered;
    if (error !== undefined) throw new Error(`${method} in the page: ${error}`);
    return value;
  }
}
