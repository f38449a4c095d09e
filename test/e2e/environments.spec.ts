/**
 * Where a loader may live: workers, extensions, pages under a policy, pages that browsers trust less. It works where the
 * platform allows it; elsewhere the first call says why not.
 */
import { cp, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { chromium } from '@playwright/test';
import type { Browser, Page } from '@playwright/test';
import { findBrowser, QUIET_FLAGS } from '../../scripts/find-browser.mjs';
import { AppServer, ISOLATION } from './app-server.ts';
import type { Outcome, Wish } from './environments/attempt.ts';
import { buildRealms } from './environments/build.ts';
import type {} from './environments/page.ts';
import { bundledModelId, checkpointFolder, expect, openApp, readReference, test as base, tryLoad } from './support.ts';

const ID = 'test/model';
const CHECKPOINT = checkpointFolder('tiny-qwen2') ?? '';
const MAX_TOKENS = 8;
/** The built app. */
const APP = fileURLToPath(new URL('../../dist/app/', import.meta.url));

let folder: string;
let server: AppServer;

const test = base.extend<{ wish: Wish; expected: Outcome }>({
  wish: async ({ openHub }, use) => {
    const hub = await openHub({ [ID]: { main: { directory: CHECKPOINT } } });
    const { reference } = await readReference('tiny-qwen2');
    await use({ endpoint: hub.endpoint, model: ID, prompt: reference.greedy.inputIds, maxTokens: MAX_TOKENS });
  },
  // eslint-disable-next-line no-empty-pattern
  expected: async ({}, use) => {
    const { reference } = await readReference('tiny-qwen2');
    await use({ ids: reference.greedy.ids.slice(0, MAX_TOKENS), error: null });
  },
});

// One after another: what is built for them is built once.
test.describe.configure({ mode: 'default' });

test.beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'firstlight-realms-'));
  await buildRealms(folder);
  server = new AppServer(folder);
  await server.start();
});
test.beforeEach(() => {
  server.headers = ISOLATION;
  server.folder = folder;
});
test.afterAll(async () => {
  await server.stop();
  await rm(folder, { recursive: true, force: true });
});

async function openRealms(page: Page, url = `${server.origin}/index.html`): Promise<void> {
  await page.goto(url);
  await page.waitForFunction(() => 'realms' in window);
}

test.describe('workers', () => {
  test('a dedicated worker: loads and answers', async ({ page, wish, expected }) => {
    await openRealms(page);
    expect(await page.evaluate((it) => window.realms.dedicated(it), wish)).toEqual(expected);
  });

  test('a shared worker: where it may start no workers, a typed error', async ({ page, wish }) => {
    await openRealms(page);
    expect((await page.evaluate((it) => window.realms.shared(it), wish)).error).toMatchObject({
      code: 'environment_unsupported',
      detail: { reason: 'shared_worker' },
    });
  });

  test('a service worker: a typed error', async ({ browser, wish }) => {
    const context = await browser.newContext({ serviceWorkers: 'allow' });
    const page = await context.newPage();
    await openRealms(page);
    expect((await page.evaluate((it) => window.realms.service(it), wish)).error).toMatchObject({
      code: 'environment_unsupported',
      detail: { reason: 'service_worker' },
    });
    await context.close();
  });
});

test.describe('content security policies', () => {
  const underPolicy = async (page: Page, policy: string): Promise<void> => {
    server.headers = { ...ISOLATION, 'Content-Security-Policy': policy };
    await openRealms(page);
  };

  test('the strictest that fits: loads and answers', async ({ page, wish, expected }) => {
    await underPolicy(
      page,
      `default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; worker-src 'self'; connect-src 'self' ${wish.endpoint} *`,
    );
    expect(await page.evaluate((it) => window.realms.here(it), wish)).toEqual(expected);
  });

  const FORBIDDEN: readonly (readonly [what: string, policy: string, directive: string, needed: RegExp])[] = [
    ['WebAssembly', "script-src 'self'", 'script-src', /'wasm-unsafe-eval'/u],
    ['workers', "worker-src 'none'", 'worker-src', /worker-src 'self'/u],
    ['the hub', "connect-src 'self'", 'connect-src', /connect-src http:\/\/[\w.]+:\d+$/u],
  ];
  for (const [what, policy, directive, needed] of FORBIDDEN) {
    test(`one that forbids ${what}: named, with what it has to allow`, async ({ page, wish }) => {
      await underPolicy(page, policy);
      const { error } = await page.evaluate((it) => window.realms.here(it), wish);
      expect(error).toMatchObject({ code: 'blocked_by_policy', detail: { directive } });
      expect(error?.message).toMatch(needed);
    });
  }

  test('one that forbids WebAssembly, to a loader in a worker: named, too', async ({ page, wish }) => {
    await underPolicy(page, "script-src 'self'");
    const { error } = await page.evaluate((it) => window.realms.dedicated(it), wish);
    expect(error).toMatchObject({ code: 'blocked_by_policy', detail: { directive: 'script-src' } });
  });
});

test.describe("the app's own policy", () => {
  test('is kept by all that it does, and forbids what it does not', async ({ page }) => {
    await page.addInitScript(() => {
      const violations: string[] = [];
      addEventListener('securitypolicyviolation', ({ effectiveDirective, blockedURI }) => {
        violations.push(`${effectiveDirective} ${blockedURI}`);
      });
      Object.assign(window, { violations });
    });
    const readViolations = (): Promise<string[]> =>
      page.evaluate(() => (window as unknown as { violations: string[] }).violations);
    await openApp(page);
    expect(await tryLoad(page, await bundledModelId(page), { device: 'wasm' })).toBeNull();
    await page.goto('/#cache');
    await page.getByRole('heading', { name: 'Cache', exact: true }).waitFor();
    await page.goto('/#load');
    expect(await readViolations()).toEqual([]);

    const ran = await page.evaluate(() => {
      const script = document.createElement('script');
      script.textContent = 'window.injected = true';
      document.head.append(script);
      document.body.innerHTML += '<base href="https://evil.test/"><img src="https://evil.test/x.png">';
      return 'injected' in window || document.baseURI.includes('evil');
    });
    expect(ran).toBe(false);
    await expect
      .poll(readViolations)
      .toEqual(
        expect.arrayContaining([
          'script-src-elem inline',
          'base-uri https://evil.test/',
          'img-src https://evil.test/x.png',
        ]),
      );
  });

  test('sent as a header, for workers too: loads', async ({ page }) => {
    const app = new AppServer(APP);
    await app.start();
    try {
      await page.goto(`${app.origin}/`);
      const policy = await page.locator('meta[http-equiv="Content-Security-Policy"]').getAttribute('content');
      expect(policy).toContain("default-src 'none'");
      app.headers = { ...ISOLATION, 'Content-Security-Policy': policy ?? '' };
      const answer = await page.reload();
      expect(answer?.headers()['content-security-policy']).toBe(policy);
      await page.waitForFunction(() => 'firstlight' in window);
      expect(await tryLoad(page, await bundledModelId(page), { device: 'wasm' })).toBeNull();
    } finally {
      await app.stop();
    }
  });
});

test.describe('pages that browsers trust less', () => {
  let browser: Browser;
  test.beforeAll(async () => {
    const args = [...QUIET_FLAGS, '--host-resolver-rules=MAP lan.test localhost'];
    browser = await chromium.launch({ ...findBrowser(), args });
  });
  test.afterAll(() => browser.close());

  test('plain http on a LAN: every first call says insecure_context', async ({ wish }) => {
    const page = await browser.newPage();
    const origin = server.origin.replace('localhost', 'lan.test');
    await openRealms(page, `${origin}/index.html`);
    for (const { error } of await page.evaluate((it) => window.realms.each(it), wish)) {
      expect(error).toMatchObject({ code: 'insecure_context', detail: { origin } });
      expect(error?.message).toMatch(/https, or open it as http:\/\/localhost/u);
    }
    server.folder = APP;
    await page.goto(`${origin}/index.html`);
    await page.getByLabel('Model', { exact: true }).fill(ID);
    await page.getByRole('button', { name: 'Load', exact: true }).click();
    await expect(page.getByRole('alert')).toContainText('Open this page over https, or as http://localhost.');
    await page.close();
  });

  test.describe('without an origin of their own', () => {
    /** One classic script: modules are not for such pages. */
    let classic: string;
    test.beforeAll(async () => {
      classic = await mkdtemp(join(tmpdir(), 'firstlight-classic-'));
      await buildRealms(classic, { classic: true });
      await writeFile(join(classic, 'index.html'), '<!doctype html><script src="page.js"></script>');
      await writeFile(
        join(classic, 'frame.html'),
        '<!doctype html><iframe sandbox="allow-scripts" src="index.html"></iframe>',
      );
    });
    test.afterAll(() => rm(classic, { recursive: true, force: true }));

    test('a file: page: a typed error that says to serve it', async ({ wish }) => {
      const page = await browser.newPage();
      await openRealms(page, pathToFileURL(join(classic, 'index.html')).href);
      const { error } = await page.evaluate((it) => window.realms.here(it), wish);
      expect(error).toMatchObject({ code: 'environment_unsupported', detail: { reason: 'file_page' } });
      expect(error?.message).toMatch(/http\(s\)/u);
      await page.close();
    });

    test('a sandboxed frame: a typed error that says what to allow', async ({ wish }) => {
      server.folder = classic;
      server.headers = {};
      const page = await browser.newPage();
      await page.goto(`${server.origin}/frame.html`);
      const frame = page.frames().find((one) => one.url().endsWith('/index.html'));
      await frame?.waitForFunction(() => 'realms' in window);
      const outcome = await frame?.evaluate((it) => window.realms.here(it), wish);
      expect(outcome?.error).toMatchObject({ code: 'environment_unsupported', detail: { reason: 'opaque_origin' } });
      expect(outcome?.error?.message).toMatch(/allow-same-origin/u);
      await page.close();
    });
  });
});

test.describe('an extension page', () => {
  /** A page of an extension whose manifest also says `more`. */
  const openExtension = async (more: object, use: (page: Page) => Promise<void>): Promise<void> => {
    const home = await mkdtemp(join(tmpdir(), 'firstlight-extension-'));
    const extension = join(home, 'extension');
    await cp(folder, extension, { recursive: true });
    await cp(CHECKPOINT, join(extension, 'model'), { recursive: true });
    // A background script only because its address tells the extension's id.
    const manifest = { manifest_version: 3, name: 'Realms', version: '1', background: { service_worker: 'id.js' } };
    await writeFile(join(extension, 'manifest.json'), JSON.stringify({ ...manifest, ...more }));
    await writeFile(join(extension, 'id.js'), '');
    const load = [`--disable-extensions-except=${extension}`, `--load-extension=${extension}`];
    const context = await chromium.launchPersistentContext(join(home, 'profile'), {
      ...findBrowser(),
      headless: false, // Playwright's own flag may mean the old mode, which has no extensions
      args: [...QUIET_FLAGS, '--headless=new', ...load],
    });
    try {
      const [running] = context.serviceWorkers();
      const background =
        running ?? (await context.waitForEvent('serviceworker', { timeout: 30_000 }).catch(() => undefined));
      if (!background) {
        test.skip(true, 'this browser loads no unpacked extensions (Google Chrome since 137): Chromium does');
        return;
      }
      const page = await context.newPage();
      await openRealms(page, new URL('index.html', background.url()).href);
      expect(await page.evaluate(() => location.protocol)).toBe('chrome-extension:');
      await use(page);
    } finally {
      await context.close();
      await rm(home, { recursive: true, force: true });
    }
  };

  test('loads and answers, from a hub and from its own files', async ({ wish, expected }) => {
    const policy = { extension_pages: "script-src 'self' 'wasm-unsafe-eval'; object-src 'self'" };
    await openExtension({ content_security_policy: policy }, async (page) => {
      expect(await page.evaluate((it) => window.realms.here(it), wish)).toEqual(expected);
      const names = ['config.json', 'generation_config.json', 'model.safetensors'];
      expect(
        await page.evaluate(([it, all]) => window.realms.own(it, './model/', all), [wish, names] as const),
      ).toEqual(expected);
    });
  });

  test('whose manifest leaves the policy as it is: named', async ({ wish }) => {
    await openExtension({}, async (page) => {
      const { error } = await page.evaluate((it) => window.realms.here(it), wish);
      expect(error).toMatchObject({ code: 'blocked_by_policy', detail: { directive: 'script-src' } });
    });
  });
});
