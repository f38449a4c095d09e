/**
 * Serves a benchmark's page and the library's sources to the browser, and carries calls to it: the page asks for its next
 * call and posts the result (`page-link.ts`).
 */
import type { IncomingMessage, ServerResponse } from 'node:http';
import { dirname } from 'node:path';
import { text } from 'node:stream/consumers';
import { fileURLToPath } from 'node:url';
import { build, preview } from 'vite';
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

/** `entry` is a page below the project's root; it is built as an app would be, and served. */
export async function startPageServer(entry: string): Promise<PageServer> {
  const root = fileURLToPath(new URL('../../../', import.meta.url));
  const outDir = `${root}node_modules/.bench/${dirname(entry)}`;
  const calls = new CallQueue();
  const common = { configFile: false, root, logLevel: 'error', publicDir: false } as const;
  await build({
    ...common,
    // In scripts' own addresses, so that no path is needed where a test host puts it.
    base: './',
    worker: { format: 'es' },
    resolve: { dedupe: ['onnxruntime-web', 'onnxruntime-common'] },
    build: { outDir, emptyOutDir: true, target: 'es2022', rolldownOptions: { input: `${root}${entry}` } },
  });
  const server = await preview({
    ...common,
    build: { outDir },
    preview: {
      port: 0,
      host: '127.0.0.1',
      // The headers that a page needs for threads.
      headers: { 'Cross-Origin-Opener-Policy': 'same-origin', 'Cross-Origin-Embedder-Policy': 'require-corp' },
    },
    plugins: [
      {
        name: 'bench-calls',
        configurePreviewServer: ({ middlewares }) => {
          middlewares.use(NEXT_PATH, (_, response) => calls.onNext(response));
          middlewares.use(RESULT_PATH, (request, response) => void calls.onResult(request, response));
        },
      },
    ],
  });
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
