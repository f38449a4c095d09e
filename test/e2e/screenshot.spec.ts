/**
 * The README's picture: the page after the bundled model's first story. `UPDATE_SCREENSHOT=1` writes it to `docs/`.
 */
import { expect, openApp, test } from './support.ts';

test('the page after a load, for the README @long', async ({ page }, info) => {
  await page.setViewportSize({ width: 1280, height: 900 });
  await page.emulateMedia({ colorScheme: 'dark' });
  await openApp(page);
  await page.getByLabel('Device', { exact: true }).selectOption('wasm');
  await page.getByRole('button', { name: 'Load', exact: true }).click();
  await expect(page.getByRole('status', { name: 'Answer' })).toContainText('Answer finished');
  await page.evaluate(() => scrollTo(0, 0));
  const path = process.env['UPDATE_SCREENSHOT'] ? 'docs/screenshot.png' : info.outputPath('screenshot.png');
  const image = await page.screenshot({ path });
  expect(image.byteLength).toBeGreaterThan(20_000);
});
