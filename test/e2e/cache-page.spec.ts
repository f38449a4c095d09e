/**
 * Care of the cache by its page: what a person sees and does, by keyboard and on a phone.
 */
import AxeBuilder from '@axe-core/playwright';
import type { Page } from '@playwright/test';
import {
  changedTiny,
  CHANGED_SHARD,
  damage,
  diskBytes,
  list,
  load,
  STORYTELLER,
  TINY,
  usedSnapshots,
} from './cache-support.ts';
import { bundledModelId, expect, openApp, test } from './support.ts';

async function expectAccessible(page: Page): Promise<void> {
  const { violations } = await new AxeBuilder({ page }).analyze();
  expect(violations.map(({ id, nodes }) => `${id}: ${nodes.map((node) => node.html).join(' ')}`)).toEqual([]);
}

test('empty, then a model: verified, pinned, deleted, by keyboard; back works; axe finds nothing', async ({ page }) => {
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
  await expect(page.getByRole('status', { name: 'Load' })).toHaveText('The model is ready.');
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
  await expect(page.getByRole('status', { name: 'Load' })).toHaveText('The model is ready.');

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
  await expect(page.getByRole('status', { name: 'Load' })).toHaveText('The model is ready.');
  const [complete] = await list(page);
  expect(complete).toMatchObject({ modelId: 'org/story', complete: true });
  expect(hub.requests.contentBytes()).toBe((complete?.sizeBytes ?? 0) - (partial?.sizeBytes ?? 0));
});

test('no accessibility violations on a phone, in both themes', async ({ page, openHub }) => {
  const hub = await openHub({ 'org/tiny': { main: { directory: TINY } } });
  await page.setViewportSize({ width: 360, height: 740 });
  await openApp(page);
  await load(page, hub, 'org/tiny');
  await page.goto('/#cache');
  await expect(page.locator('[data-model="org/tiny"]')).toBeVisible();
  await page.locator('[data-model="org/tiny"] summary').click();
  await page.getByRole('button', { name: 'Delete org/tiny' }).click();
  for (const colorScheme of ['light', 'dark'] as const) {
    await page.emulateMedia({ colorScheme });
    await expectAccessible(page);
  }
});
