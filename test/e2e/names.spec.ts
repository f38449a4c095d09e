/**
 * Names as people have them: addresses that were copied from a browser, and repositories that have another name by now.
 */
import type { Page } from '@playwright/test';
import type { Hub } from '../hub/index.ts';
import { checkpointFolder, expect, test } from './support.ts';

const FOLDER = { directory: checkpointFolder('tiny-llama') ?? '' };
const TOKEN = 'hf_secret';

/** Loads on WebAssembly and yields what came of it. */
function load(
  page: Page,
  hub: Hub,
  name: string,
  options: { token?: string; revision?: string } = {},
): Promise<{ modelId: string; revision: string; commit: string } | string> {
  return page.evaluate(
    async ([endpoint, id, { token, revision }]) => {
      const { createLoader, isLoadError } = window.firstlight;
      const loader = createLoader({ hub: { endpoint, ...(token ? { token } : {}) }, bundledBaseUrl: null });
      try {
        const model = await loader.load(id, { device: 'wasm', dtype: 'fp32', ...(revision ? { revision } : {}) });
        const { modelId, revision: loaded, commit } = model.info;
        return { modelId, revision: loaded, commit };
      } catch (error) {
        if (!isLoadError(error)) throw error;
        return `${error.code}: ${error.message}`;
      } finally {
        await loader.dispose();
      }
    },
    [hub.endpoint, name, options] as const,
  );
}

test('the address of a file loads its repository at the revision that it names', async ({ app, openHub }) => {
  const hub = await openHub({ 'acme/tiny': { main: { files: {} }, revisions: { v1: FOLDER } } });
  const loaded = await load(app, hub, ` ${hub.endpoint}/acme/tiny/blob/v1/config.json?x=1#L3 `);
  expect(loaded).toEqual({ modelId: 'acme/tiny', revision: 'v1', commit: hub.commitOf('acme/tiny', 'v1').sha });
  const asked = hub.requests.entries.length;
  expect(await load(app, hub, `${hub.endpoint}/acme/tiny/tree/v1`, { revision: 'main' })).toMatch(
    /^invalid_argument: /u,
  );
  expect(await load(app, hub, 'https://example.com/acme/tiny')).toMatch(/^invalid_argument: .*example\.com/u);
  expect(hub.requests.entries).toHaveLength(asked);
});

test('a private repository that was renamed is found by its old name, with the token', async ({ app, openHub }) => {
  const hub = await openHub({
    'acme/old-name': { main: { files: {} }, renamedTo: 'acme/new-name' },
    'acme/new-name': { main: FOLDER, private: true, tokens: [TOKEN] },
  });
  const commit = hub.commitOf('acme/new-name').sha;
  expect(await load(app, hub, 'acme/old-name', { token: TOKEN })).toMatchObject({ modelId: 'acme/old-name', commit });
  expect(hub.requests.entries.filter(({ status }) => status === 307).length).toBeGreaterThan(0);
  expect(hub.requests.find({ server: 'cdn' }).some(({ hadAuthorization }) => hadAuthorization)).toBe(false);
});

test('renamed while it is loaded: its files are found under the new name', async ({ app, openHub }) => {
  const hub = await openHub({ 'acme/before': { main: FOLDER }, 'acme/after': { main: FOLDER } });
  await app.evaluate(async (endpoint) => {
    const loader = window.firstlight.createLoader({ hub: { endpoint }, bundledBaseUrl: null });
    await loader.plan('acme/before', { device: 'wasm', dtype: 'fp32' });
    await loader.dispose();
  }, hub.endpoint);
  const { sha } = hub.commitOf('acme/before');
  await hub.addRepository('acme/before', { main: { files: {} }, renamedTo: 'acme/after' });
  expect(await load(app, hub, 'acme/before', { revision: sha })).toMatchObject({ commit: sha });
});

test('a mirror that sends its callers on to another hub does not send the token along', async ({ app, openHub }) => {
  const other = await openHub({ 'acme/tiny': { main: FOLDER } });
  const moved = { main: { files: {} }, renamedTo: 'acme/tiny', renamedAt: other.endpoint, tokens: [TOKEN] };
  const mirror = await openHub({ 'acme/old': moved, 'acme/tiny': moved });
  expect(await load(app, mirror, 'acme/old', { token: TOKEN })).toMatchObject({ modelId: 'acme/old' });
  const asked = mirror.requests.entries.filter(({ kind }) => kind !== 'preflight');
  expect(asked.every(({ hadAuthorization }) => hadAuthorization)).toBe(true);
  expect(other.requests.entries.length).toBeGreaterThan(0);
  expect(other.requests.entries.some(({ hadAuthorization }) => hadAuthorization)).toBe(false);
});

test('the form spells out an address that was pasted', async ({ app }) => {
  const [model, revision] = [app.getByLabel('Model', { exact: true }), app.getByLabel('Revision', { exact: true })];
  await model.fill('https://huggingface.co/acme/tiny/tree/refs%2Fpr%2F3/sub');
  await model.blur();
  await expect(model).toHaveValue('acme/tiny');
  await expect(revision).toHaveValue('refs/pr/3');
  await model.fill('https://huggingface.co/datasets/acme/tiny');
  await app.getByRole('button', { name: 'Plan only' }).click();
  await expect(app.getByText('This is the address of a dataset, not of a model.')).toBeVisible();
});
