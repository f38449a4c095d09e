/**
 * A browser that gives the page no storage, because its owner has blocked site data: a typed error that says what to do.
 */
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { chromium, type Page } from '@playwright/test';
import { findBrowser, QUIET_FLAGS } from '../../scripts/find-browser.mjs';
import { bundledModelId, checkpointFolder, expect, openApp, test as base, tryLoad } from './support.ts';

const ID = 'test/tiny-llama';

/** A page of a browser whose settings say: sites may keep nothing. */
const test = base.extend<{ blocked: Page }>({
  blocked: async ({ baseURL }, use) => {
    const profileDir = await mkdtemp(join(tmpdir(), 'firstlight-blocked-'));
    await mkdir(join(profileDir, 'Default'));
    const preferences = { profile: { default_content_setting_values: { cookies: 2 } } };
    await writeFile(join(profileDir, 'Default/Preferences'), JSON.stringify(preferences));
    const context = await chromium.launchPersistentContext(profileDir, {
      ...findBrowser(),
      args: QUIET_FLAGS,
      baseURL: baseURL ?? '',
    });
    const page = await context.newPage();
    await openApp(page);
    await use(page);
    await context.close();
    await rm(profileDir, { recursive: true, force: true, maxRetries: 5 });
  },
});

test('storage_unavailable: site data is blocked', async ({ blocked: page, openHub }) => {
  expect(
    await page.evaluate(() => navigator.storage.getDirectory().then(String, (error: unknown) => (error as Error).name)),
  ).toBe('SecurityError');
  const hub = await openHub({ [ID]: { main: { directory: checkpointFolder('tiny-llama') ?? '' } } });
  const message = expect.stringMatching(/ordinary window.*site data allowed/u) as unknown;
  const expected = { code: 'storage_unavailable', retryable: false, message };
  expect(await tryLoad(page, ID, { endpoint: hub.endpoint, device: 'wasm' })).toMatchObject(expected);
  expect(await tryLoad(page, await bundledModelId(page), { device: 'wasm' })).toMatchObject(expected);
  expect(hub.requests.entries.filter(({ kind }) => kind === 'content')).toEqual([]);
  const caches = await page.evaluate(async () => {
    const { cache } = window.firstlight.loader;
    const codes: string[] = [];
    for (const call of [() => cache.list(), () => cache.usage(), () => cache.clear()]) {
      const code = await call().then(
        () => 'done',
        (error: unknown) => (window.firstlight.isLoadError(error) ? error.code : String(error)),
      );
      codes.push(code);
    }
    return codes;
  });
  expect(caches).toEqual(['storage_unavailable', 'storage_unavailable', 'storage_unavailable']);
});
