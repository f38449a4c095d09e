/**
 * Care of the cache, by the API and by the page: list, share, delete, resume, verify, pin, prune, pause.
 */
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import AxeBuilder from '@axe-core/playwright';
import type { CDPSession, Page } from '@playwright/test';
import type { CacheEntry, CacheRemoval, CacheSelector, CacheUsage, VerifyResult } from '../../src/contract/cache.ts';
import type { Hub } from '../hub/index.ts';
import { bundledModelId, checkpointFolder, expect, openApp, test } from './support.ts';

const TINY = checkpointFolder('tiny-llama') ?? '';
/** Big enough to be stopped half-way. */
const STORYTELLER = checkpointFolder('storyteller-2m') ?? '';
const CHANGED_SHARD = 'model-00002-of-00002.safetensors';

interface Loaded {
  readonly commit: string;
  readonly fromNetwork: number;
  readonly offline: boolean;
}

/** Loads on WASM, disposes at once. */
function load(page: Page, hub: Hub, modelId: string, revision = 'main'): Promise<Loaded> {
  return page.evaluate(
    async ([endpoint, id, at]) => {
      const loader = window.firstlight.createLoader({ hub: { endpoint }, bundledBaseUrl: null });
      try {
        const { report } = await loader.load(id, { device: 'wasm', revision: at });
        return { commit: report.commit, fromNetwork: report.bytes.fromNetwork, offline: report.offline };
      } finally {
        await loader.dispose();
      }
    },
    [hub.endpoint, modelId, revision] as const,
  );
}

/** Begins a load and cancels it when this part of the weights is there; yields the error's code. */
function loadPart(page: Page, hub: Hub, modelId: string, part: number): Promise<string> {
  return page.evaluate(
    async ([endpoint, id, enough]) => {
      const { createLoader, isLoadError } = window.firstlight;
      const loader = createLoader({ hub: { endpoint }, bundledBaseUrl: null });
      const controller = new AbortController();
      try {
        await loader.load(id, {
          device: 'wasm',
          signal: controller.signal,
          onProgress: (event) => {
            if (event.type !== 'progress' || event.stage !== 'fetch') return;
            if (event.doneBytes > enough * event.totalBytes) controller.abort();
          },
        });
        return 'loaded';
      } catch (error) {
        return isLoadError(error) ? error.code : String(error);
      } finally {
        await loader.dispose();
      }
    },
    [hub.endpoint, modelId, part] as const,
  );
}

const list = (page: Page): Promise<readonly CacheEntry[]> => page.evaluate(() => window.firstlight.loader.cache.list());
const usage = (page: Page): Promise<CacheUsage> => page.evaluate(() => window.firstlight.loader.cache.usage());
const remove = (page: Page, selector: CacheSelector): Promise<CacheRemoval> =>
  page.evaluate((which) => window.firstlight.loader.cache.delete(which), selector);
const verify = (page: Page, selector?: CacheSelector): Promise<VerifyResult> =>
  page.evaluate((which) => window.firstlight.loader.cache.verify(which), selector);

/** Bytes of all files below the cache's folder, as the browser's file system has them. */
function diskBytes(page: Page): Promise<number> {
  return page.evaluate(async () => {
    const measure = async (folder: FileSystemDirectoryHandle): Promise<number> => {
      let sizeBytes = 0;
      for await (const handle of folder.values()) {
        if (handle.kind === 'directory') sizeBytes += await measure(handle);
        else sizeBytes += (await handle.getFile()).size;
      }
      return sizeBytes;
    };
    return measure(await navigator.storage.getDirectory());
  });
}

/** Turns one bit of a blob on disk. */
function damage(page: Page, key: string, offset: number): Promise<void> {
  return page.evaluate(
    async ([name, at]) => {
      const root = await navigator.storage.getDirectory();
      const blobs = await (await root.getDirectoryHandle('firstlight')).getDirectoryHandle('blobs');
      const handle = await blobs.getFileHandle(name);
      const byte = new Uint8Array(await (await handle.getFile()).slice(at, at + 1).arrayBuffer());
      const writable = await handle.createWritable({ keepExistingData: true });
      await writable.write({ type: 'write', position: at, data: byte.map((value) => value ^ 1) });
      await writable.close();
    },
    [key, offset] as const,
  );
}

/** Locks that name a snapshot in use. */
function usedSnapshots(page: Page): Promise<number> {
  return page.evaluate(async () => {
    const { held = [] } = await navigator.locks.query();
    return held.filter(({ name }) => name?.startsWith('firstlight:snapshot:')).length;
  });
}

/** The tiny model's files with other numbers at the end of its second shard. */
async function changedTiny(): Promise<Record<string, Uint8Array>> {
  const files: Record<string, Uint8Array> = {};
  for (const name of await readdir(TINY)) files[name] = new Uint8Array(await readFile(join(TINY, name)));
  const shard = files[CHANGED_SHARD];
  if (shard === undefined) throw new Error(`the fixture lacks ${CHANGED_SHARD}`);
  // The lowest bit of a little-endian float's mantissa.
  shard[shard.length - 4] = (shard.at(-4) ?? 0) ^ 1;
  return files;
}

/** Lasts as long as the session that made it. */
async function limitRoom(page: Page, freeBytes: number): Promise<CDPSession> {
  const session = await page.context().newCDPSession(page);
  const { usageBytes } = await usage(page);
  const origin = new URL(page.url()).origin;
  await session.send('Storage.overrideQuotaForOrigin', { origin, quotaSize: usageBytes + freeBytes });
  return session;
}

async function expectAccessible(page: Page): Promise<void> {
  const { violations } = await new AxeBuilder({ page }).analyze();
  expect(violations.map(({ id, nodes }) => `${id}: ${nodes.map((node) => node.html).join(' ')}`)).toEqual([]);
}

test.describe('the API', () => {
  test('an empty cache; a plan is no model; a load is listed with its files, hashes and bytes', async ({
    app,
    openHub,
  }) => {
    const hub = await openHub({ 'org/tiny': { main: { directory: TINY } } });
    expect(await list(app)).toEqual([]);

    await app.evaluate(async (endpoint) => {
      const loader = window.firstlight.createLoader({ hub: { endpoint }, bundledBaseUrl: null });
      await loader.plan('org/tiny', { device: 'wasm' });
      await loader.dispose();
    }, hub.endpoint);
    const [planned] = await list(app);
    expect(planned).toMatchObject({ modelId: 'org/tiny', complete: false });

    await load(app, hub, 'org/tiny');
    const entries = await list(app);
    expect(entries).toHaveLength(1);
    const [entry] = entries;
    expect(entry).toMatchObject({
      modelId: 'org/tiny',
      source: 'hub',
      endpoint: hub.endpoint,
      revisions: ['main'],
      commit: hub.commitOf('org/tiny').sha,
      complete: true,
      pinned: false,
    });
    const files = hub.commitOf('org/tiny').files;
    for (const { path, sizeBytes, hash, complete } of entry?.files ?? []) {
      const original = files.get(path);
      expect(sizeBytes).toBe(original?.content.sizeBytes);
      expect(hash?.hex).toBe(original?.lfs ? original.sha256 : original?.oid);
      expect(complete).toBe(true);
    }
    expect(entry?.sizeBytes).toBe(entry?.totalBytes);
    expect(entry?.ownBytes).toBe(entry?.sizeBytes);
    expect(await diskBytes(app)).toBe(entry?.sizeBytes);
    expect(await usage(app)).toMatchObject({ sizeBytes: entry?.sizeBytes, persisted: false });
    expect(Math.abs(Date.now() - (entry?.lastUsedAtMs ?? 0))).toBeLessThan(60_000);
  });

  test('two revisions share blobs: counted once, and deleting one leaves the other loadable offline', async ({
    app,
    openHub,
  }) => {
    const hub = await openHub({ 'org/tiny': { main: { directory: TINY } } });
    const first = await load(app, hub, 'org/tiny');
    await hub.push('org/tiny', 'main', { files: await changedTiny() });
    hub.requests.clear();
    const second = await load(app, hub, 'org/tiny');
    const shardBytes = hub.commitOf('org/tiny').files.get(CHANGED_SHARD)?.content.sizeBytes ?? 0;
    expect(second.offline).toBe(false);
    expect(hub.requests.contentBytes()).toBe(shardBytes);

    const entries = await list(app);
    expect(entries.map(({ commit, revisions }) => [commit, revisions])).toEqual([
      [second.commit, ['main']],
      [first.commit, []],
    ]);
    for (const { sizeBytes, totalBytes, ownBytes } of entries) {
      expect(sizeBytes).toBe(totalBytes);
      expect(ownBytes).toBe(shardBytes);
    }
    const [newer] = entries;
    const wholeBytes = (newer?.sizeBytes ?? 0) + shardBytes;
    expect((await usage(app)).sizeBytes).toBe(wholeBytes);
    expect(await diskBytes(app)).toBe(wholeBytes);

    const removal = await remove(app, { modelId: 'org/tiny', commit: first.commit });
    expect(removal).toEqual({
      removed: [{ endpoint: hub.endpoint, modelId: 'org/tiny', commit: first.commit }],
      inUse: [],
      freedBytes: shardBytes,
    });
    expect(await diskBytes(app)).toBe(newer?.sizeBytes);
    expect(await list(app)).toMatchObject([{ commit: second.commit, ownBytes: newer?.sizeBytes }]);

    await hub.goDown();
    expect(await load(app, hub, 'org/tiny')).toEqual({ commit: second.commit, fromNetwork: 0, offline: true });
  });

  test('delete frees the bytes; clear leaves nothing; both say what they did', async ({ app, openHub }) => {
    const hub = await openHub({
      'org/one': { main: { directory: TINY } },
      'org/two': { main: { directory: checkpointFolder('tiny-qwen2') ?? '' } },
    });
    await load(app, hub, 'org/one');
    await load(app, hub, 'org/two');
    const before = await diskBytes(app);
    const [two, one] = await list(app);
    expect(await remove(app, { modelId: 'org/none' })).toEqual({ removed: [], inUse: [], freedBytes: 0 });
    expect(await remove(app, { modelId: 'org/one' })).toMatchObject({ freedBytes: one?.ownBytes, inUse: [] });
    expect(await diskBytes(app)).toBe(before - (one?.ownBytes ?? 0));
    // What they shared (a small file) is now its own.
    expect(await list(app)).toEqual([{ ...two, ownBytes: two?.sizeBytes }]);

    await app.evaluate(() => window.firstlight.loader.cache.pin({ modelId: 'org/two' }, true));
    const cleared = await app.evaluate(() => window.firstlight.loader.cache.clear());
    expect(cleared).toMatchObject({ removed: [{ modelId: 'org/two' }], inUse: [] });
    expect(await diskBytes(app)).toBe(0);
    expect(await list(app)).toEqual([]);
    hub.requests.clear();
    await load(app, hub, 'org/one');
    expect(hub.requests.contentBytes()).toBe(one?.sizeBytes);
  });

  test('a cancelled download is listed as partial, and the same call fetches only what is missing', async ({
    app,
    openHub,
  }) => {
    test.skip(STORYTELLER === '', 'the bundled model is not there');
    const hub = await openHub({ 'org/story': { main: { directory: STORYTELLER } } });
    hub.setThrottle({ bytesPerSecond: 3_000_000 });
    expect(await loadPart(app, hub, 'org/story', 0.4)).toBe('aborted');
    const [partial] = await list(app);
    expect(partial).toMatchObject({ modelId: 'org/story', complete: false });
    const { sizeBytes = 0, totalBytes = 0 } = partial ?? {};
    expect(sizeBytes / totalBytes).toBeGreaterThan(0.3);
    expect(sizeBytes / totalBytes).toBeLessThan(0.95);

    hub.setThrottle({});
    hub.requests.clear();
    const resumed = await load(app, hub, 'org/story');
    const [complete] = await list(app);
    expect(complete).toMatchObject({ complete: true, commit: partial?.commit });
    expect(hub.requests.contentBytes()).toBe((complete?.sizeBytes ?? 0) - sizeBytes);
    expect(resumed.fromNetwork).toBe(hub.requests.contentBytes());
    expect((await verify(app)).damaged).toEqual([]);
  });

  test('verify finds a turned bit and drops that file; the next load fetches it and nothing else', async ({
    app,
    openHub,
  }) => {
    const hub = await openHub({ 'org/tiny': { main: { directory: TINY } } });
    await load(app, hub, 'org/tiny');
    const [entry] = await list(app);
    expect(await verify(app, { modelId: 'org/tiny' })).toEqual({
      checkedFiles: entry?.files.length,
      checkedBytes: entry?.sizeBytes,
      damaged: [],
    });
    const shard = entry?.files.find(({ path }) => path === CHANGED_SHARD);
    await damage(app, `sha256-${shard?.hash?.hex ?? ''}`, 100_000);

    const outcome = await app.evaluate(async () => {
      const steps: { doneBytes: number; totalBytes: number }[] = [];
      const onProgress = (step: { doneBytes: number; totalBytes: number }): void => void steps.push(step);
      const result = await window.firstlight.loader.cache.verify(undefined, { onProgress });
      return { result, steps };
    });
    expect(outcome.result.damaged).toMatchObject([{ path: CHANGED_SHARD, commit: entry?.commit }]);
    expect(outcome.result.damaged[0]?.reason).toContain('sha256');
    expect(new Set(outcome.steps.map(({ totalBytes }) => totalBytes))).toEqual(new Set([entry?.sizeBytes]));
    const done = outcome.steps.map(({ doneBytes }) => doneBytes);
    expect(done).toEqual(done.toSorted((a, b) => a - b));
    expect(done.at(-1)).toBe(entry?.sizeBytes);
    expect(await diskBytes(app)).toBe((entry?.sizeBytes ?? 0) - (shard?.sizeBytes ?? 0));
    expect(await list(app)).toMatchObject([{ complete: false }]);

    hub.requests.clear();
    await load(app, hub, 'org/tiny');
    expect(hub.requests.contentBytes()).toBe(shard?.sizeBytes);
    expect(hub.requests.contentBytes({ file: CHANGED_SHARD })).toBe(shard?.sizeBytes);
    expect((await verify(app)).damaged).toEqual([]);
  });

  test('verify can be cancelled; a worker that only tends the cache ends', async ({ app, openHub }) => {
    const hub = await openHub({ 'org/tiny': { main: { directory: TINY } } });
    await load(app, hub, 'org/tiny');
    // Each worker holds a lock for as long as it lives.
    const { code, heldMeanwhile } = await app.evaluate(async () => {
      const controller = new AbortController();
      let heldMeanwhile = 0;
      const checking = window.firstlight.loader.cache.verify(undefined, {
        signal: controller.signal,
        onProgress: () => {
          void navigator.locks.query().then(({ held = [] }) => {
            heldMeanwhile = Math.max(heldMeanwhile, held.length);
            controller.abort();
          });
        },
      });
      const code = await checking.then(
        () => 'checked',
        (error: unknown) => (window.firstlight.isLoadError(error) ? error.code : String(error)),
      );
      return { code, heldMeanwhile };
    });
    expect(code).toBe('aborted');
    expect(heldMeanwhile).toBeGreaterThan(0);
    const held = (): Promise<number> =>
      app.evaluate(async () => {
        const { held: locks = [] } = await navigator.locks.query();
        return locks.filter(({ name }) => name?.startsWith('firstlight:')).length;
      });
    await expect.poll(held).toBe(0);
  });

  test('pinned: spared by prune and by eviction, unless prune is told otherwise', async ({ app, openHub }) => {
    const hub = await openHub({
      'org/pinned': { main: { directory: TINY } },
      'org/other': { main: { directory: checkpointFolder('tiny-qwen2') ?? '' } },
      'org/next': { main: { directory: checkpointFolder('tiny-mistral') ?? '' } },
    });
    const names = async (): Promise<string[]> => (await list(app)).map(({ modelId }) => modelId).sort();
    await load(app, hub, 'org/pinned');
    await load(app, hub, 'org/other');
    const pins = await app.evaluate(async () => {
      const { cache } = window.firstlight.loader;
      return [await cache.pin({ modelId: 'org/pinned' }, true), await cache.pin({ modelId: 'org/none' }, true)];
    });
    expect(pins).toEqual([true, false]);

    // Room for a part of the next model only; the least recently used would be the pinned one.
    const session = await limitRoom(app, 640_000);
    await load(app, hub, 'org/next');
    await session.detach();
    expect(await names()).toEqual(['org/next', 'org/pinned']);

    const pruned = await app.evaluate(() => window.firstlight.loader.cache.prune([]));
    expect(pruned).toMatchObject({ removed: [{ modelId: 'org/next' }], inUse: [] });
    expect(pruned.freedBytes).toBeGreaterThan(600_000);
    expect(await names()).toEqual(['org/pinned']);
    expect((await load(app, hub, 'org/pinned')).fromNetwork).toBe(0);
    await load(app, hub, 'org/other');
    const kept = await app.evaluate(() =>
      window.firstlight.loader.cache.prune([{ modelId: 'org/other' }], { includePinned: true }),
    );
    expect(kept).toMatchObject({ removed: [{ modelId: 'org/pinned' }], inUse: [] });
    expect(await names()).toEqual(['org/other']);
  });

  test('a snapshot that a tab is loading is refused, from another tab too, and loads to its end', async ({
    app,
    openHub,
    context,
  }) => {
    const hub = await openHub({ 'org/tiny': { main: { directory: TINY } } });
    hub.setThrottle({ bytesPerSecond: 250_000 });
    const loading = load(app, hub, 'org/tiny');
    await expect.poll(() => usedSnapshots(app)).toBe(1);
    await expect.poll(async () => (await list(app))[0]?.sizeBytes ?? 0).toBeGreaterThan(0);
    const other = await context.newPage();
    await openApp(other);
    for (const page of [app, other]) {
      const refused = await remove(page, { modelId: 'org/tiny' });
      expect(refused).toMatchObject({ removed: [], inUse: [{ modelId: 'org/tiny' }], freedBytes: 0 });
    }
    const cleared = await other.evaluate(() => window.firstlight.loader.cache.clear());
    expect(cleared).toMatchObject({ removed: [], inUse: [{ modelId: 'org/tiny' }] });
    hub.setThrottle({});
    expect((await loading).commit).toBe(hub.commitOf('org/tiny').sha);
    expect((await verify(app)).damaged).toEqual([]);
    expect(await remove(other, { modelId: 'org/tiny' })).toMatchObject({ removed: [{ modelId: 'org/tiny' }] });
    expect(await diskBytes(app)).toBe(0);
  });

  test('a slip in a selector deletes nothing', async ({ app, openHub }) => {
    const hub = await openHub({ 'org/tiny': { main: { directory: TINY } } });
    await load(app, hub, 'org/tiny');
    const codes = await app.evaluate(async () => {
      const { loader, isLoadError } = window.firstlight;
      const { cache } = loader;
      const wrong = [
        {},
        null,
        'org/tiny',
        { modelId: '' },
        { modelId: 'org/tiny', commit: '' },
        { modelId: 'org/tiny', endpoint: '' },
      ] as never[];
      const calls = wrong.flatMap((selector) => [
        () => cache.delete(selector),
        () => cache.pin(selector, true),
        () => cache.prune([selector]),
      ]);
      calls.push(() => cache.prune('org/tiny' as never));
      const results: string[] = [];
      for (const call of calls) {
        const code = await call().then(
          () => 'done',
          (error: unknown) => (isLoadError(error) ? error.code : String(error)),
        );
        results.push(code);
      }
      return [...new Set(results)];
    });
    expect(codes).toEqual(['invalid_argument']);
    expect(await list(app)).toHaveLength(1);
  });
});

test.describe('the page', () => {
  test('empty, then a model: verified, pinned, deleted, by keyboard; back works; axe finds nothing', async ({
    page,
  }) => {
    await openApp(page);
    await page.getByRole('link', { name: 'Cache' }).press('Enter');
    const heading = page.getByRole('heading', { name: 'Cache', exact: true });
    await expect(heading).toBeFocused();
    await expect(page).toHaveURL(/#cache$/u);
    await expect(page).toHaveTitle(/Cache/u);
    await expect(page.getByText('Nothing here yet.')).toBeVisible();
    await expectAccessible(page);

    await page.goBack();
    await expect(page.getByRole('button', { name: 'Load', exact: true })).toBeVisible();
    await page.getByLabel('Device', { exact: true }).selectOption('wasm');
    await page.getByLabel('Number format').selectOption('q8');
    await page.getByRole('button', { name: 'Load', exact: true }).click();
    await expect(page.getByRole('status', { name: 'Load' })).toHaveText('The model is ready.', { timeout: 90_000 });
    await page.goForward();
    await expect(heading).toBeFocused();

    const id = await bundledModelId(page);
    const row = page.getByRole('list', { name: 'Cached models' }).locator(`[data-model="${id}"]`);
    await expect(row).toContainText('complete');
    await expect(row).toContainText('comes with this page');
    await expect(row).toContainText('just now');
    const status = page.getByRole('status', { name: 'Cache' });

    await row.getByRole('button', { name: 'Verify' }).press('Enter');
    await expect(status).toContainText('every hash is right');
    await row.getByRole('button', { name: 'Pin' }).press('Enter');
    await expect(status).toContainText('is pinned');
    await expect(row.getByText('pinned', { exact: true })).toBeVisible();
    await expect(row.getByRole('button', { name: 'Unpin' })).toBeFocused();
    await row.locator('summary').press('Enter');
    await expect(row.getByRole('row', { name: /^config\.json/u })).toContainText('verified');
    for (const colorScheme of ['light', 'dark'] as const) {
      await page.emulateMedia({ colorScheme });
      await expectAccessible(page);
    }

    const askDelete = row.getByRole('button', { name: 'Delete' });
    await askDelete.press('Enter');
    await expect(row.getByRole('button', { name: 'Keep' })).toBeFocused();
    await expectAccessible(page);
    await page.keyboard.press('Escape');
    await expect(askDelete).toBeFocused();
    await askDelete.press('Enter');
    await row.getByRole('button', { name: 'Delete', exact: true }).press('Enter');
    await expect(status).toContainText('Deleted');
    await expect(page.getByText('Nothing here yet.')).toBeVisible();
    await expect(page.getByRole('heading', { name: 'Models on this disk' })).toBeFocused();
    expect(await diskBytes(page)).toBe(0);

    // The model itself is in memory and goes on answering; what was typed and said is still there.
    await page.goBack();
    await expect(page.getByLabel('Number format')).toHaveValue('q8');
    await expect(page.getByText('is in memory')).toBeVisible();
  });

  test('damage found by the page is named; Load puts a model into the form; all is deleted on demand', async ({
    page,
    openHub,
  }) => {
    const hub = await openHub({ 'org/tiny': { main: { directory: TINY } } });
    await openApp(page);
    const { commit } = await load(page, hub, 'org/tiny');
    await hub.push('org/tiny', 'main', { files: await changedTiny() });
    await load(page, hub, 'org/tiny');
    const shard = (await list(page))[0]?.files.find(({ path }) => path === CHANGED_SHARD);
    await damage(page, `sha256-${shard?.hash?.hex ?? ''}`, 50_000);

    await page.goto('/#cache');
    const rows = page.getByRole('list', { name: 'Cached models' }).locator('li[data-model]');
    await expect(rows).toHaveCount(2);
    await expect(rows.first()).toContainText('shared');
    await page.getByRole('button', { name: 'Verify all' }).click();
    await expect(page.getByRole('status', { name: 'Cache' })).toContainText('1 file damaged and removed');
    await expect(page.getByRole('listitem').filter({ hasText: `${CHANGED_SHARD}: sha256 is` })).toBeVisible();
    await expect(rows.first()).toContainText('partial, 5');

    await page.getByRole('link', { name: 'Load', exact: true }).click();
    await page.getByText('Hub', { exact: true }).click();
    await page.getByLabel('Access token').fill('hf_meant_for_another_hub');
    await page.goBack();
    await page.locator(`[data-commit="${commit}"]`).getByRole('button', { name: 'Load' }).click();
    await expect(page.getByLabel('Model', { exact: true })).toHaveValue('org/tiny');
    await expect(page.getByLabel('Revision')).toHaveValue(commit);
    await expect(page.getByLabel('Endpoint')).toHaveValue(hub.endpoint);
    await expect(page.getByLabel('Access token')).toHaveValue('');
    const loadButton = page.getByRole('button', { name: 'Load', exact: true });
    await expect(loadButton).toBeFocused();
    await page.getByLabel('Device', { exact: true }).selectOption('wasm');
    await loadButton.click();
    await expect(page.getByRole('status', { name: 'Load' })).toHaveText('The model is ready.', { timeout: 90_000 });

    await page.getByRole('link', { name: 'Cache', exact: true }).click();
    await page.getByRole('button', { name: 'Delete all' }).click();
    await page.getByRole('button', { name: 'Delete all' }).click();
    await expect(page.getByText('Nothing here yet.')).toBeVisible();
    expect(await diskBytes(page)).toBe(0);
  });

  test('a download is paused, listed as partial, and resumed where it stopped', async ({ page, openHub }) => {
    test.skip(STORYTELLER === '', 'the bundled model is not there');
    const hub = await openHub({ 'org/story': { main: { directory: STORYTELLER } } });
    hub.setThrottle({ bytesPerSecond: 500_000 });
    await openApp(page);
    await page.getByLabel('Model', { exact: true }).fill('org/story');
    await page.getByLabel('Device', { exact: true }).selectOption('wasm');
    await page.getByText('Hub', { exact: true }).click();
    await page.getByLabel('Endpoint').fill(hub.endpoint);
    await page.getByRole('button', { name: 'Load', exact: true }).click();
    const progress = page.getByRole('progressbar', { name: 'Fetch progress' });
    await expect.poll(async () => Number(await progress.getAttribute('aria-valuenow'))).toBeGreaterThan(30);
    const pause = page.getByRole('button', { name: 'Pause', exact: true });
    await pause.press('Enter');
    const resume = page.getByRole('button', { name: 'Resume', exact: true });
    await expect(resume).toBeFocused();
    const fetchRow = page.locator('[data-stage="fetch"]');
    await expect(fetchRow).toHaveAttribute('data-state', 'paused');
    await expect(fetchRow).toContainText(/paused, [3-9]\d% on disk/u);
    await expect(page.getByRole('status', { name: 'Load' })).toHaveText(/The load is paused, \d\d% on disk/u);
    await expectAccessible(page);
    expect(await usedSnapshots(page)).toBe(0);

    // Typing in the form changes the next load, not this one.
    await page.getByLabel('Model', { exact: true }).fill('org/something-else');
    await page.getByRole('link', { name: 'Cache', exact: true }).click();
    await expect(page.locator('[data-model="org/story"]')).toContainText(/partial, [3-9]\d%/u);
    const [partial] = await list(page);
    await page.goBack();

    hub.setThrottle({});
    hub.requests.clear();
    await resume.click();
    await expect(page.getByRole('status', { name: 'Load' })).toHaveText('The model is ready.', { timeout: 90_000 });
    const [complete] = await list(page);
    expect(complete).toMatchObject({ modelId: 'org/story', complete: true });
    expect(hub.requests.contentBytes()).toBe((complete?.sizeBytes ?? 0) - (partial?.sizeBytes ?? 0));
  });

  test('fits a phone, in both themes', async ({ page, openHub }) => {
    const hub = await openHub({ 'org/tiny': { main: { directory: TINY } } });
    await page.setViewportSize({ width: 360, height: 740 });
    await openApp(page);
    await load(page, hub, 'org/tiny');
    await page.goto('/#cache');
    await expect(page.locator('[data-model="org/tiny"]')).toBeVisible();
    await page.locator('[data-model="org/tiny"] summary').click();
    await page.getByRole('button', { name: 'Delete org/tiny' }).click();
    const overflow = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
    expect(overflow).toBeLessThanOrEqual(0);
    for (const colorScheme of ['light', 'dark'] as const) {
      await page.emulateMedia({ colorScheme });
      await expectAccessible(page);
    }
  });
});
