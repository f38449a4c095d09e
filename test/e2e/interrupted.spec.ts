/**
 * A page that dies in the middle of a load: the next one says so and does not begin again by itself.
 */
import AxeBuilder from '@axe-core/playwright';
import type { CDPSession, Page } from '@playwright/test';
import { bundledModelId, expect, openApp, test } from './support.ts';

const KEY = 'firstlight.load-under-way';

/** Of the bundled model's files, all that comes after their headers hangs. */
async function holdWeights(page: Page): Promise<void> {
  await page.context().route('**/*.safetensors', async (route) => {
    if (route.request().headers()['range']?.startsWith('bytes=0-')) await route.continue();
  });
}

const isMarked = (page: Page): Promise<boolean> => page.evaluate((key) => sessionStorage.getItem(key) !== null, KEY);

/** In a page that Playwright has given up. */
async function evaluate(devtools: CDPSession, expression: string): Promise<unknown> {
  const { result } = await devtools.send('Runtime.evaluate', { expression, returnByValue: true });
  return result.value;
}

async function openAutoload(page: Page): Promise<string> {
  await openApp(page);
  const id = await bundledModelId(page);
  await page.goto(`/?model=${id}&device=webgpu&dtype=q8&autoload=1`);
  return id;
}

test('a renderer that is killed during a load: the page that comes back says so, and waits to be asked', async ({
  page,
}) => {
  const id = await openAutoload(page);
  // The kernels that it compiles after that take longer than a look at the mark.
  await expect.poll(() => isMarked(page), { intervals: [20] }).toBe(true);
  const devtools = await page.context().newCDPSession(page);
  const crashed = page.waitForEvent('crash');
  devtools.send('Page.crash').catch(() => undefined); // nobody is left to answer
  await crashed;
  await devtools.send('Page.reload');

  const note = 'document.querySelector(\'[aria-label="Last attempt"]\')?.textContent ?? ""';
  await expect
    .poll(() => evaluate(devtools, note))
    .toContain(`The last load of ${id} (q8 on webgpu) ended with the page`);
  // It knows its own models, which is when it would begin.
  const known = 'window.firstlight.loader.bundled().then((models) => models.length)';
  const { result } = await devtools.send('Runtime.evaluate', { expression: known, awaitPromise: true });
  expect(result.value).toBeGreaterThan(0);
  expect(await evaluate(devtools, 'document.querySelector(\'[role="status"][aria-label="Load"]\').textContent')).toBe(
    '',
  );
  expect(await evaluate(devtools, 'JSON.stringify(window.firstlight.loader.interruptedLoad())')).toBe(
    JSON.stringify({ modelId: id, dtype: 'q8', device: 'webgpu' }),
  );
});

test('a mark that is still there: a notice without accessibility faults, until a load ends', async ({ page }) => {
  const mark = { modelId: 'org/large', dtype: 'fp32', device: 'wasm' };
  await page.addInitScript(
    ([key, text]) => {
      if (performance.getEntriesByType('navigation').length > 0 && !('looked' in sessionStorage)) {
        sessionStorage.setItem('looked', 'yes');
        sessionStorage.setItem(key, text);
      }
    },
    [KEY, JSON.stringify(mark)] as const,
  );
  await openApp(page);
  const note = page.getByRole('status', { name: 'Last attempt' });
  await expect(note).toContainText('org/large (fp32 on wasm)');
  const { violations } = await new AxeBuilder({ page }).analyze();
  expect(violations.map(({ id }) => id)).toEqual([]);

  await page.reload(); // no load ended: still true
  await expect(note).toContainText('org/large');
  await page.getByLabel('Device', { exact: true }).selectOption('wasm');
  await page.getByRole('button', { name: 'Load', exact: true }).click();
  await expect(note).toHaveText('');
  await expect(page.getByRole('status', { name: 'Load' })).toHaveText('The model is ready.', { timeout: 90_000 });
  expect(await isMarked(page)).toBe(false);
  expect(await page.evaluate(() => window.firstlight.loader.interruptedLoad())).toBeNull();
});

test('a load that is cancelled, or left by a regular reload, leaves no mark: the page begins again', async ({
  page,
}) => {
  await holdWeights(page);
  await openAutoload(page);
  const cancel = page.getByRole('button', { name: 'Cancel', exact: true });
  for (const leave of [() => page.reload(), () => cancel.click()]) {
    await expect.poll(() => isMarked(page)).toBe(true);
    expect(await page.evaluate(() => window.firstlight.loader.interruptedLoad())).toBeNull();
    await leave();
  }
  await expect.poll(() => isMarked(page)).toBe(false);
  await expect(page.getByRole('status', { name: 'Last attempt' })).toHaveText('');
});
