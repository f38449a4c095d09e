/**
 * The page fits the narrowest screen that accessibility guidelines name (320 px, WCAG 2.2, 1.4.10), whatever font a system has
 * and with text at 200 % (1.4.4): with nothing loaded, with a model, with an error, and on the cache's page.
 */
import { readFile } from 'node:fs/promises';
import type { Page } from '@playwright/test';
import { expect, openApp, test } from './support.ts';

// The font and the zoom are put into the page, which its content security policy need not allow.
test.use({ viewport: { width: 320, height: 740 }, bypassCSP: true });

const WIDE_FONT = new URL('../fixtures/fonts/wide.woff2', import.meta.url);

/** The page's own size of text on its root, twice. */
const DOUBLE_TEXT = 'html { font-size: 30px !important }';

async function readWideFont(): Promise<string> {
  const data = (await readFile(WIDE_FONT)).toString('base64');
  return `@font-face { font-family: Wide; src: url(data:font/woff2;base64,${data}) } * { font-family: Wide !important }`;
}

/** Adds each style for as long as `work` takes. */
async function withStyle(page: Page, style: string, work: () => Promise<void>): Promise<void> {
  const element = await page.addStyleTag({ content: style });
  await page.evaluate(() => document.fonts.load('1rem Wide'));
  await work();
  await element.evaluate((it) => it.parentNode?.removeChild(it));
}

/** What stands out of the screen, by tag and text; regions that scroll by themselves are allowed to hold more. */
function findOverflow(page: Page): Promise<string[]> {
  return page.evaluate(() => {
    const scrolls = (element: Element): boolean => {
      for (let it: Element | null = element; it; it = it.parentElement) {
        if (getComputedStyle(it).overflowX !== 'visible' || it.classList.contains('visually-hidden')) return true;
      }
      return false;
    };
    const wide = [...document.querySelectorAll('body *')].filter((element) => {
      const { left, right, width } = element.getBoundingClientRect();
      return width > 0 && (right > innerWidth + 0.5 || left < -0.5) && !scrolls(element);
    });
    const pageOverflow = document.documentElement.scrollWidth - innerWidth;
    return [
      ...(pageOverflow > 0 ? [`the page by ${pageOverflow} px`] : []),
      ...wide.map(({ tagName, textContent }) => `${tagName}: ${textContent.trim().slice(0, 40)}`),
    ];
  });
}

async function expectToFit(page: Page): Promise<void> {
  await page.evaluate(() => document.querySelectorAll('details').forEach((it) => (it.open = true)));
  const font = await readWideFont();
  expect(await findOverflow(page), 'this system’s own font').toEqual([]);
  await withStyle(page, DOUBLE_TEXT, async () => expect(await findOverflow(page), 'text at 200 %').toEqual([]));
  await withStyle(page, font, async () => expect(await findOverflow(page), 'a wide font').toEqual([]));
  await withStyle(page, font + DOUBLE_TEXT, async () => expect(await findOverflow(page), 'both').toEqual([]));
}

test('fits 320 px with any font and with text at 200 %: empty, planned, ready, the cache', async ({ page }) => {
  await openApp(page);
  await expectToFit(page);
  const status = page.getByRole('status', { name: 'Load' });
  await page.getByLabel('Device', { exact: true }).selectOption('wasm'); // the faster one where the GPU is software
  await page.getByRole('button', { name: 'Load', exact: true }).click();
  await expect(status).toHaveText('The model is ready.');
  await page.getByRole('button', { name: 'Stop', exact: true }).click();
  await expectToFit(page);
  await page.goto('/#cache');
  await expect(page.locator('[data-model]').first()).toBeVisible();
  await page.getByRole('button', { name: /^Delete firstlight/ }).click();
  await expectToFit(page);
});

test('fits 320 px with any font and with text at 200 %: an error', async ({ page, openHub }) => {
  const hub = await openHub({});
  await openApp(page);
  await page.getByText('Hub', { exact: true }).click();
  await page.getByLabel('Endpoint').fill(hub.endpoint);
  await page
    .getByLabel('Model', { exact: true })
    .fill('an-organisation-with-a-long-name/and-a-model-with-a-longer-one');
  await page.getByRole('button', { name: 'Load', exact: true }).click();
  await expect(page.getByRole('alert')).toBeVisible();
  await expectToFit(page);
});
