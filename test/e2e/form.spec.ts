/**
 * The form of the page: pressed before the page knows its own models, and plans that are asked for alone.
 */
import type { Page } from '@playwright/test';
import { expect, openApp, test } from './support.ts';

/** Holds back the list of models that come with the page until the function that it yields is called. */
async function holdModelIndex(page: Page): Promise<() => void> {
  let release = (): void => undefined;
  const released = new Promise<void>((resolve) => (release = resolve));
  await page.route('**/models/index.json', async (route) => {
    await released;
    await route.continue();
  });
  return release;
}

const form = (page: Page) => page.getByRole('status', { name: 'Form' });
const button = (page: Page, name: string) => page.getByRole('button', { name, exact: true });

test('Load, pressed before the page knows its own models, loads as soon as it does', async ({ page }) => {
  const release = await holdModelIndex(page);
  await openApp(page);
  await page.getByLabel('Device', { exact: true }).selectOption('wasm');
  await button(page, 'Load').click();
  await expect(form(page)).toHaveText(/^Looking up/u);
  release();
  await expect(page.getByRole('status', { name: 'Load' })).toHaveText('The model is ready.');
  await expect(form(page)).toHaveText('');
});

test('a press that waits for the models of the page is taken back by Cancel and by typing an id', async ({ page }) => {
  const release = await holdModelIndex(page);
  await openApp(page);
  await button(page, 'Plan only').click();
  await expect(form(page)).toHaveText(/^Looking up/u);
  await button(page, 'Cancel').click();
  await expect(form(page)).toHaveText('');
  await button(page, 'Plan only').click();
  await page.getByLabel('Model', { exact: true }).fill('o');
  await expect(form(page)).toHaveText('');
  release();
  await expect.poll(() => page.evaluate(async () => (await window.firstlight.loader.bundled()).length)).toBe(1);
  await expect(page.locator('[data-stage][data-state="waiting"]')).toHaveCount(8);
});

test('Plan only, where a page has no models of its own: says that a name is missing', async ({ page }) => {
  await page.route('**/models/index.json', (route) => route.fulfill({ status: 404 }));
  await openApp(page);
  await button(page, 'Plan only').click();
  await expect(page.getByLabel('Model', { exact: true })).toBeFocused();
  await expect(page.getByLabel('Model', { exact: true })).toHaveAttribute('aria-invalid', 'true');
});

test('a plan alone shows its stages: done with their times, or where it failed', async ({ page, openHub }) => {
  const config = { model_type: 'unheard-of' };
  const hub = await openHub({ 'org/odd': { main: { files: { 'config.json': JSON.stringify(config) } } } });
  await openApp(page);
  const status = page.getByRole('status', { name: 'Load' });
  const stage = (name: string) => page.locator(`[data-stage="${name}"]`);
  await button(page, 'Plan only').click();
  await expect(status).toHaveText('The plan is made.');
  await expect(stage('resolve')).toHaveAttribute('data-state', 'done');
  await expect(stage('plan')).toHaveAttribute('data-state', 'done');
  await expect(stage('build')).toHaveAttribute('data-state', 'waiting');

  await page.getByText('Hub', { exact: true }).click();
  await page.getByLabel('Endpoint').fill(hub.endpoint);
  await page.getByLabel('Model', { exact: true }).fill('org/odd');
  await button(page, 'Plan only').click();
  await expect(page.getByRole('alert')).toBeVisible();
  await expect(stage('resolve')).toHaveAttribute('data-state', 'done');
  await expect(stage('plan')).toHaveAttribute('data-state', 'failed');
  await expect(stage('resolve')).toContainText(/\d\s(ms|s)/u);
});
