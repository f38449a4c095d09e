/**
 * Firefox, driven over WebDriver BiDi.
 */
import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import puppeteer, { type Browser, type Page } from 'puppeteer-core';

/** Of one check, which takes some ten seconds on two cores. */
const PATIENCE_MS = 60_000;
const ATTEMPTS = 4;
const LATE = Symbol('late');

/** Where Mesa's software driver describes itself. */
const LAVAPIPE = '/usr/share/vulkan/icd.d/lvp_icd.x86_64.json';

/** Every window is a private one. */
export const PRIVATE_WINDOWS = { 'browser.privatebrowsing.autostart': true };

/** `preferences` beside those that WebGPU needs. */
export function startFirefox(
  executablePath: string,
  preferences: Readonly<Record<string, boolean>> = {},
): Promise<Browser> {
  return puppeteer.launch({
    browser: 'firefox',
    executablePath,
    headless: true,
    protocolTimeout: 600_000,
    env: { ...process.env, ...(existsSync(LAVAPIPE) ? { VK_DRIVER_FILES: LAVAPIPE } : {}) },
    extraPrefsFirefox: {
      'dom.webgpu.enabled': true,
      'dom.webgpu.workers.enabled': true,
      'gfx.webgpu.ignore-blocklist': true,
      'gfx.webgpu.force-enabled': true,
      ...preferences,
    },
  });
}

/** Null where there is none. */
export function findFirefox(): string | null {
  const names = ['firefox-esr', 'firefox'];
  const folders = (process.env['PATH'] ?? '').split(delimiter);
  return folders.flatMap((folder) => names.map((name) => join(folder, name))).find((path) => existsSync(path)) ?? null;
}

/**
 * Runs `check` in a page of its own. A Firefox that is driven over WebDriver BiDi does not start every worker: three loads of
 * 81 waited for one without end, none of 150 in a page that drove itself. So what takes too long is tried again.
 */
export async function inPage<T>(browser: Browser, url: string, check: (page: Page) => Promise<T>): Promise<T> {
  for (let attempt = 1; ; attempt++) {
    const page = await browser.newPage();
    const late = new AbortController();
    try {
      const checking = (async () => {
        await page.goto(url);
        await page.waitForFunction(() => 'firstlight' in window);
        return check(page);
      })();
      const result = await Promise.race([checking, sleep(PATIENCE_MS, LATE, { signal: late.signal })]);
      if (result !== LATE) return result;
      checking.catch(() => undefined); // ends with the page
      assert.ok(attempt < ATTEMPTS, `nothing came of ${ATTEMPTS} attempts of ${PATIENCE_MS} ms`);
      console.log('  a page did not answer; the same in another one');
    } finally {
      late.abort();
      await page.close();
    }
  }
}
