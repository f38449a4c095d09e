/**
 * The app without a network, and its next version: served by a host of our own that goes away, and that deploys again.
 */
import { cp, mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Page } from '@playwright/test';
import { MODEL_WORKER_PREFIX } from '../../src/contract/worker-api.ts';
import { build } from 'vite';
import { AppServer, ISOLATION } from './app-server.ts';
import { checkpointFolder, expect, readReference, test as base } from './support.ts';

const ROOT = fileURLToPath(new URL('../../', import.meta.url));
const ID = 'test/tiny-llama';
const RUNTIME = /\.wasm$/u;
const WEIGHTS = /^\/models\/.*safetensors$/u;

const OPENS = 'This page opens offline; models do too once they have been loaded.';
const READY = 'Ready to work offline.';

const test = base.extend<
  { serve: (headers?: Readonly<Record<string, string>>) => Promise<AppServer> },
  { builds: { first: string; second: string } }
>({
  /** The app as it was built for the tests, and built once more with every file under another name. */
  builds: [
    // eslint-disable-next-line no-empty-pattern -- Playwright wants a pattern
    async ({}, use) => {
      const folder = await mkdtemp(join(tmpdir(), 'firstlight-offline-'));
      const first = join(folder, 'first');
      await cp(join(ROOT, 'dist/app'), first, { recursive: true });
      const second = join(folder, 'second');
      await buildAgain(second);
      await use({ first, second });
      await rm(folder, { recursive: true });
    },
    { scope: 'worker', timeout: 300_000 },
  ],
  serve: async ({ builds }, use) => {
    const servers: AppServer[] = [];
    await use(async (headers = ISOLATION) => {
      const server = new AppServer(builds.first, headers);
      await server.start();
      servers.push(server);
      return server;
    });
    await Promise.all(servers.map((server) => server.stop()));
  },
});

test.use({ serviceWorkers: 'allow' });

test.describe('without a network', () => {
  for (const device of ['wasm', 'webgpu'] as const) {
    test(`the page and a loaded model work after a reload, on ${device}${device === 'webgpu' ? ' @long' : ''}`, async ({
      page,
      serve,
      openHub,
    }) => {
      const { reference } = await readReference('tiny-llama');
      const hub = await openHub({ [ID]: { main: { directory: checkpointFolder('tiny-llama') ?? '' } } });
      const server = await serve();
      await open(page, server);
      await expect(offline(page)).toHaveText(OPENS);
      expect(server.pathsOf(RUNTIME)).toEqual([]);

      const request = { endpoint: hub.endpoint, device, prompt: reference.greedy.inputIds };
      const online = await loadAndGenerate(page, request);
      expect(online.ids).toEqual(reference.greedy.ids.slice(0, online.ids.length));
      expect(online.fromNetwork).toBeGreaterThan(0);
      // One flavour of the runtime, once, and kept.
      expect(server.pathsOf(RUNTIME)).toHaveLength(1);
      expect((await keptFiles(page)).filter((url) => RUNTIME.test(url))).toEqual(
        server.pathsOf(RUNTIME).map((path) => server.origin + path),
      );

      await hub.close();
      await server.stop();
      const asked = server.requests.length;
      await page.reload();
      await page.waitForFunction(() => 'firstlight' in window);
      await expect(offline(page)).toHaveText(READY);
      expect(await page.evaluate(() => crossOriginIsolated)).toBe(true);
      const again = await loadAndGenerate(page, request);
      expect(again).toMatchObject({ ids: online.ids, fromNetwork: 0, offline: true });
      expect(again.ids).toHaveLength(12);
      expect(server.requests).toHaveLength(asked);
    });
  }

  test('the bundled model by the button, in the first seconds of the first visit', async ({ page, serve }) => {
    const server = await serve();
    await open(page, server);
    await loadByButton(page, 'wasm');
    await expect(offline(page)).toHaveText(READY);
    // The runtime may have been asked for before the service worker was there, and is then kept from the browser's cache.
    expect(new Set(server.pathsOf(RUNTIME)).size).toBe(1);
    const weights = server.requests.filter(({ path }) => WEIGHTS.test(path));
    expect(weights.length).toBeGreaterThan(0);

    await server.stop();
    await page.goto(`${server.origin}/?dtype=q8`);
    await page.waitForFunction(() => 'firstlight' in window);
    const report = await page.evaluate(async () => {
      const { loader } = window.firstlight;
      const [first] = await loader.bundled();
      const model = await loader.load(first?.modelId ?? '', { device: 'wasm' });
      const { bytes, offline: wasOffline } = model.report;
      await model.dispose();
      return { fromNetwork: bytes.fromNetwork, offline: wasOffline };
    });
    expect(report).toEqual({ fromNetwork: 0, offline: true });
    expect(server.requests.filter(({ path }) => WEIGHTS.test(path))).toEqual(weights);
  });

  test('model files and other origins pass the service worker untouched', async ({ page, serve, openHub }) => {
    const hub = await openHub({ [ID]: { main: { directory: checkpointFolder('tiny-llama') ?? '' } } });
    const server = await serve();
    await open(page, server);
    await expect(offline(page)).toHaveText(OPENS);
    const handled: string[] = [];
    page.on('response', (response) => {
      if (response.fromServiceWorker()) handled.push(response.url());
    });
    const weights = await page.evaluate(async () => {
      const index = (await (await fetch('models/index.json')).json()) as {
        models: Record<string, { files: { path: string }[] }>;
      };
      const [id = '', model] = Object.entries(index.models)[0] ?? [];
      return `models/${id}/${model?.files.find(({ path }) => path.endsWith('.safetensors'))?.path ?? ''}`;
    });
    const part = await page.evaluate(async (url) => {
      const response = await fetch(url, { headers: { Range: 'bytes=8-23' } });
      const range = response.headers.get('Content-Range');
      return { status: response.status, range, bytes: [...new Uint8Array(await response.arrayBuffer())] };
    }, weights);
    const file = await readFile(join(server.folder, weights));
    expect(part).toEqual({ status: 206, range: `bytes 8-23/${file.length}`, bytes: [...file.subarray(8, 24)] });
    const status = await page.evaluate(async (url) => (await fetch(url)).status, `${hub.endpoint}/api/models/${ID}`);
    expect(status).toBe(200);

    expect(handled).toEqual([`${server.origin}/models/index.json`]);
    expect((await keptFiles(page)).filter((url) => /safetensors|api/u.test(url))).toEqual([]);
    await server.stop();
    const stale = await page.evaluate(async () => (await fetch('models/index.json')).headers.get('X-Firstlight-Stale'));
    expect(stale).toBe('1');
  });

  test('where the service worker cannot be had, the page works without it', async ({ page, serve }) => {
    const server = await serve();
    server.instead.set('/service-worker.js', null);
    const problems: string[] = [];
    page.on('pageerror', (error) => problems.push(String(error)));
    await open(page, server);
    await loadByButton(page, 'wasm');
    await expect(offline(page)).toHaveText('');
    expect(problems).toEqual([]);
  });
});

test.describe('a new version', () => {
  test('is offered, taken at a press, and leaves nothing of the old one', async ({ page, serve, builds }) => {
    const server = await serve();
    await open(page, server);
    await expect(offline(page)).toHaveText(OPENS);
    await loadByButton(page, 'wasm');
    await expect(offline(page)).toHaveText(READY);
    const before = await keptFiles(page);

    server.folder = builds.second;
    await page.evaluate(async () => (await navigator.serviceWorker.getRegistration())?.update());
    // The new version's files, the runtime's 17 MB among them, come and are checked first.
    await expect(notice(page)).toContainText('A new version is ready. Reloading ends the model in this tab');
    await page.screenshot({ path: test.info().outputPath('update.png') });
    // Nothing happens by itself, and the old version has all its files still.
    await page.waitForTimeout(500);
    await expectBuild(page, undefined);
    expect(await keptFiles(page)).toEqual(expect.arrayContaining(before));

    await page.getByRole('button', { name: 'Reload', exact: true }).click();
    await expectBuild(page, 'second');
    await expect(notice(page)).toHaveText('');
    // The old version's files are gone, and the runtime is there in its new version without having been used.
    await expect(offline(page)).toHaveText(READY);
    const after = await keptFiles(page);
    const assets = (urls: string[]): string[] => urls.filter((url) => url.includes('/assets/'));
    expect(assets(after)).toHaveLength(assets(before).length);
    expect(assets(after).filter((url) => before.includes(url))).toEqual([]);

    await server.stop();
    await page.reload();
    await expectBuild(page, 'second');
    await loadByButton(page, 'wasm');
  });

  test('that arrives damaged is not taken, and is when it is whole', async ({ page, serve, builds }) => {
    const server = await serve();
    await open(page, server);
    await expect(offline(page)).toHaveText(OPENS);
    const before = (await keptFiles(page)).sort();

    // What a host for single-page apps answers where a file has not arrived yet: the page, and 200.
    server.folder = builds.second;
    const html = await readFile(join(builds.second, 'index.html'), 'utf8');
    const script = /src="\.(?<path>\/assets\/[^"]+\.js)"/u.exec(html)?.groups?.['path'] ?? '';
    server.instead.set(script, html);
    const update = () => page.evaluate(async () => void (await navigator.serviceWorker.getRegistration())?.update());
    await update();
    await expect.poll(() => server.pathsOf(/2[\w-]{7}\.js$/u)).toContain(script);
    await page.waitForTimeout(1_000);
    await expect(notice(page)).toHaveText('');
    await page.reload();
    await expectBuild(page, undefined);

    server.instead.clear();
    await update();
    await expect(notice(page)).toContainText('A new version is ready.');
    expect(await keptFiles(page)).toEqual(expect.arrayContaining(before));
  });

  test('waits while another tab is open or a model lives, and is taken at the next visit', async ({
    page,
    context,
    serve,
    builds,
  }) => {
    const server = await serve();
    await open(page, server);
    await expect(offline(page)).toHaveText(OPENS);
    const other = await context.newPage();
    await open(other, server);

    server.folder = builds.second;
    await page.evaluate(async () => (await navigator.serviceWorker.getRegistration())?.update());
    for (const tab of [page, other]) await expect(notice(tab)).toContainText('A new version is ready.');
    await page.getByRole('button', { name: 'Reload', exact: true }).click();
    await expect(notice(page)).toContainText('It waits until the other tabs of this app are closed.');
    await page.reload();
    await expect(notice(page)).toContainText('A new version is ready.');
    await expectBuild(page, undefined);

    // Nor while a model worker lives that the page cannot end by itself, such as a script's.
    await other.close();
    await page.evaluate((prefix) => {
      void navigator.locks.request(`${prefix}of-a-script`, () => new Promise(() => {}));
    }, MODEL_WORKER_PREFIX);
    await page.getByRole('button', { name: 'Reload', exact: true }).click();
    await expect(notice(page)).toContainText('It waits until the model that is still running has ended.');
    await expectBuild(page, undefined);

    await page.reload();
    await expectBuild(page, 'second');
    await expect(notice(page)).toHaveText('');
  });
});

test.describe('a host that sends no isolation headers', () => {
  /** How often the page was loaded, once the service worker is there and all has been quiet for a while. */
  async function settle(page: Page, server: AppServer): Promise<number> {
    let loads = 0;
    page.on('load', () => loads++);
    await page.goto(`${server.origin}/`);
    // Whatever Playwright evaluates counts as a person's touch, after which the page is never reloaded: only watch.
    for (let before = -1; before !== loads || !page.context().serviceWorkers().length;) {
      before = loads;
      await new Promise((resolve) => setTimeout(resolve, 3_000));
    }
    await expect(offline(page)).toHaveText(OPENS);
    return loads;
  }

  test('the page is isolated after one reload, its workers with it', async ({ page, serve }) => {
    const server = await serve({});
    expect(await settle(page, server)).toBe(2);
    expect(await page.evaluate(() => crossOriginIsolated)).toBe(true);
    const workers: boolean[] = [];
    page.on('worker', (worker) => {
      // Those that end before they answer are none of a model.
      worker
        .evaluate(() => crossOriginIsolated)
        .then(
          (isolated) => workers.push(isolated),
          () => {},
        );
    });
    await loadByButton(page, 'wasm');
    expect(new Set(workers)).toEqual(new Set([true]));
    await page.reload();
    expect(await page.evaluate(() => crossOriginIsolated)).toBe(true);
  });

  test('never again where that did not help', async ({ page, serve }) => {
    const server = await serve({ 'Cross-Origin-Embedder-Policy': 'unsafe-none' });
    expect(await settle(page, server)).toBe(2);
    expect(await page.evaluate(() => crossOriginIsolated)).toBe(false);
  });

  test('nor where the page switches it off', async ({ page, serve }) => {
    const server = await serve({});
    const html = await readFile(join(server.folder, 'index.html'), 'utf8');
    server.instead.set(
      '/index.html',
      html.replace('<head>', '<head><meta name="firstlight-isolation" content="off" />'),
    );
    expect(await settle(page, server)).toBe(1);
    await page.reload();
    expect(await page.evaluate(() => crossOriginIsolated)).toBe(false);
  });
});

async function open(page: Page, server: AppServer): Promise<void> {
  await page.goto(`${server.origin}/`);
  await page.waitForFunction(() => 'firstlight' in window);
}

function offline(page: Page) {
  return page.getByRole('status', { name: 'Offline' });
}

function notice(page: Page) {
  return page.getByRole('status', { name: 'New version' });
}

async function loadByButton(page: Page, device: string): Promise<void> {
  // The field fills by itself as soon as the list of bundled models is there.
  await expect(page.getByLabel('Model', { exact: true })).not.toHaveValue('');
  await page.getByLabel('Device', { exact: true }).selectOption(device);
  await page.getByRole('button', { name: 'Load', exact: true }).click();
  await expect(page.getByRole('status', { name: 'Load' })).toHaveText('The model is ready.');
}

async function loadAndGenerate(
  page: Page,
  request: { endpoint: string; device: 'webgpu' | 'wasm'; prompt: readonly number[] },
) {
  return page.evaluate(
    async ([id, { endpoint, device, prompt }]) => {
      const loader = window.firstlight.createLoader({ hub: { endpoint }, bundledBaseUrl: null });
      const model = await loader.load(id, { device, dtype: 'fp32' });
      const ids: number[] = [];
      const options = { do_sample: false, repetition_penalty: 1, max_new_tokens: 12 };
      for await (const token of model.generate(prompt, options)) ids.push(token.id);
      const { bytes, offline: wasOffline } = model.report;
      await loader.dispose();
      return { ids, fromNetwork: bytes.fromNetwork, offline: wasOffline };
    },
    [ID, request] as const,
  );
}

/** Addresses of everything in this origin's caches, without Workbox's revision. */
async function keptFiles(page: Page): Promise<string[]> {
  return page.evaluate(async () => {
    const names = await caches.keys();
    const lists = await Promise.all(names.map(async (name) => (await caches.open(name)).keys()));
    return lists.flat().map(({ url }) => url.replace(/\?__WB.*$/u, ''));
  });
}

async function expectBuild(page: Page, name: string | undefined): Promise<void> {
  await page.waitForFunction(
    (expected) =>
      'firstlight' in window && document.querySelector<HTMLMetaElement>('meta[name=build]')?.content === expected,
    name,
  );
}

/** The same sources, with other names for all files and a mark in the page. */
async function buildAgain(outDir: string): Promise<void> {
  const output = {
    entryFileNames: 'assets/[name]-2[hash:7].js',
    chunkFileNames: 'assets/[name]-2[hash:7].js',
    assetFileNames: 'assets/[name]-2[hash:7][extname]',
  };
  await build({
    root: ROOT,
    logLevel: 'error',
    build: { outDir, rolldownOptions: { output } },
    worker: { rolldownOptions: { output } },
    plugins: [
      {
        name: 'mark',
        transformIndexHtml: () => [
          { tag: 'meta', attrs: { name: 'build', content: 'second' }, injectTo: 'head' as const },
        ],
      },
    ],
  });
}
