/**
 * What every fetch spec starts from: a page server for the harness, a local hub, and tabs.
 *
 * The harness is served by Vite from its sources, so that the workers under test are the real ones, built as an app would.
 */
import { test as base, expect, type BrowserContext, type Page } from '@playwright/test';
import { createServer, type ViteDevServer } from 'vite';
import { fileURLToPath } from 'node:url';
import type { LoadErrorData } from '../../../src/contract/errors.ts';
import type { FetchTuning } from '../../../src/pipeline/fetch/tuning.ts';
import { startHub, type Hub } from '../../hub/index.ts';
import type { DownloadOutcome, TabWorker } from './harness/tab.worker.ts';

/** Waits short enough for tests. */
export const QUICK: Partial<FetchTuning> = {
  rangeBytes: 256 * 1024,
  maxRangeBytes: 256 * 1024,
  maxOpenBytes: 6 * 256 * 1024,
  quietMs: 100,
  stallTimeoutMs: 1_200,
  headersTimeoutMs: 20_000, // a busy machine answers late; a test that waits for it asks for less
  firstDelayMs: 20,
  maxDelayMs: 200,
  progressIntervalMs: 10,
};

export const MODEL = 'tests/shards';
export const SHARDS = [
  'model-00001-of-00003.safetensors',
  'model-00002-of-00003.safetensors',
  'model-00003-of-00003.safetensors',
];
export const SHARD_BYTES = [3_000_017, 2_500_003, 1_000_001];

/** One tab: a page with the harness, started. */
export class Tab {
  readonly page: Page;

  constructor(page: Page) {
    this.page = page;
  }

  /** Calls a method of the tab's worker; throws what it throws, with its code. */
  async call<K extends keyof TabWorker>(
    method: K,
    ...args: Parameters<TabWorker[K]>
  ): Promise<Awaited<ReturnType<TabWorker[K]>>> {
    const outcome = await this.tryCall(method, ...args);
    if (outcome.error) throw Object.assign(new Error(`${outcome.error.code}: ${outcome.error.message}`), outcome.error);
    return outcome.ok as Awaited<ReturnType<TabWorker[K]>>;
  }

  async tryCall<K extends keyof TabWorker>(
    method: K,
    ...args: Parameters<TabWorker[K]>
  ): Promise<{ readonly ok: unknown; readonly error: LoadErrorData | null }> {
    return this.page.evaluate(([name, values]) => window.tab.call(name, ...values), [method, args] as const);
  }

  /** A download that must succeed. */
  async download(paths: readonly string[] = SHARDS): Promise<DownloadOutcome & { summary: object }> {
    const outcome = await this.call('download', paths);
    expect(outcome.error, JSON.stringify(outcome.error)).toBeNull();
    checkProgress(outcome);
    return outcome as DownloadOutcome & { summary: object };
  }

  /** A download that must fail with this code. */
  async downloadFails(code: LoadErrorData['code'], paths: readonly string[] = SHARDS): Promise<LoadErrorData> {
    const outcome = await this.call('download', paths);
    expect(outcome.error?.code, JSON.stringify(outcome)).toBe(code);
    expect(outcome.error?.stage).toBe('fetch');
    checkProgress(outcome);
    return outcome.error as LoadErrorData;
  }

  /** Every shard in the cache equals the original, and nothing is left locked. */
  async expectOriginals(hub: Hub, paths: readonly string[] = SHARDS, modelId = MODEL): Promise<void> {
    for (const path of paths) {
      expect(await this.call('hashBlob', path)).toBe(hub.commitOf(modelId).files.get(path)?.sha256);
    }
    expect((await this.call('listFiles')).partial).toBe(0);
    await this.expectQuiet();
  }

  /** No lock on any blob. */
  async expectQuiet(): Promise<void> {
    expect((await this.call('locks')).filter((name) => name.startsWith('firstlight:blob:'))).toEqual([]);
  }
}

/** Progress never falls, its total is constant, and the last one of a success is the total. */
function checkProgress({ progress, summary }: DownloadOutcome): void {
  let last = -1;
  for (const { doneBytes, totalBytes } of progress) {
    expect(doneBytes).toBeGreaterThanOrEqual(last);
    expect(totalBytes).toBe(progress[0]?.totalBytes);
    last = doneBytes;
  }
  const total = progress.at(-1)?.totalBytes;
  if (summary) expect(last).toBe(total);
  else if (total !== undefined) expect(last).toBeLessThan(total);
  expect(progress.slice(0, -1).every((item) => item.doneBytes < item.totalBytes)).toBe(true);
}

interface Fixtures {
  readonly hub: Hub;
  /** One page, used again and again; its cache is empty at the start of each test. */
  readonly tab: Tab;
  /** Opens another tab beside it. */
  readonly openTab: (tuning?: Partial<FetchTuning>) => Promise<Tab>;
}

interface WorkerFixtures {
  readonly harnessUrl: string;
  readonly sharedTab: Tab;
}

export const test = base.extend<Fixtures, WorkerFixtures>({
  harnessUrl: [
    async ({ browserName: _ }, use) => {
      const server = await startPageServer();
      await use(toHarnessUrl(server));
      await server.close();
    },
    { scope: 'worker' },
  ],
  sharedTab: [
    async ({ browser, harnessUrl }, use) => {
      const context = await browser.newContext();
      await use(await openPage(context, harnessUrl));
      await context.close();
    },
    { scope: 'worker' },
  ],
  hub: async ({ browserName: _ }, use) => {
    const hub = await startTestHub();
    await use(hub);
    await hub.close();
  },
  tab: async ({ sharedTab, hub }, use) => {
    await sharedTab.call('dispose');
    // The locks of a tab that the test before closed may outlive its page for a moment.
    await expect.poll(async () => (await sharedTab.call('removeAll')).inUse).toEqual([]);
    await sharedTab.call('start', QUICK);
    await sharedTab.call('open', hub.endpoint, MODEL);
    await use(sharedTab);
  },
  openTab: async ({ tab, harnessUrl, hub }, use) => {
    const opened: Tab[] = [];
    await use(async (tuning = QUICK) => {
      const next = await openTab(tab.page.context(), harnessUrl, hub, tuning);
      opened.push(next);
      return next;
    });
    for (const each of opened) await each.page.close();
  },
});
export { expect };

/** A page with the harness, its fetch worker started and the test model open. */
export async function openTab(
  context: BrowserContext,
  harnessUrl: string,
  hub: Hub,
  tuning: Partial<FetchTuning> = QUICK,
): Promise<Tab> {
  const tab = await openPage(context, harnessUrl);
  await tab.call('start', tuning);
  await tab.call('open', hub.endpoint, MODEL);
  return tab;
}

/** A page with the harness, nothing started. */
export async function openPage(context: BrowserContext, harnessUrl: string): Promise<Tab> {
  const page = await context.newPage();
  await page.goto(harnessUrl);
  await page.waitForFunction(() => 'tab' in window);
  return new Tab(page);
}

export async function startPageServer(): Promise<ViteDevServer> {
  const root = fileURLToPath(new URL('../../../', import.meta.url));
  const server = await createServer({
    configFile: false,
    root,
    logLevel: 'error',
    cacheDir: `${root}node_modules/.vite-fetch-tests`,
    server: { port: 0, host: '127.0.0.1', hmr: false, watch: null },
    worker: { format: 'es' },
    // Found before the first page, so that no reload comes in between.
    optimizeDeps: {
      entries: ['test/browser/fetch/harness/index.html'],
      include: ['comlink', 'hash-wasm', 'idb-keyval'],
    },
  });
  await server.listen();
  return server;
}

export function toHarnessUrl(server: ViteDevServer): string {
  return `${server.resolvedUrls?.local[0] ?? ''}test/browser/fetch/harness/index.html`;
}

export function startTestHub(): Promise<Hub> {
  return startHub({
    repositories: {
      [MODEL]: {
        main: {
          files: {
            'config.json': '{"model_type":"llama"}\n',
            'empty.txt': '',
            ...Object.fromEntries(
              SHARDS.map((path, index) => [
                path,
                { synthetic: { seed: index + 1, sizeBytes: SHARD_BYTES[index] ?? 0 } },
              ]),
            ),
          },
        },
      },
    },
  });
}

/** Body bytes of weight files that left the hub. */
export function sentBytes(hub: Hub): number {
  return hub.requests.entries
    .filter((request) => request.file?.endsWith('.safetensors') && request.kind === 'content')
    .reduce((sum, request) => sum + request.bytesSent, 0);
}

export const TOTAL_BYTES = SHARD_BYTES.reduce((sum, size) => sum + size, 0);
