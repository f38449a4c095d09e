/**
 * Firefox, driven over WebDriver BiDi.
 */
import { existsSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import puppeteer, { type Browser } from 'puppeteer-core';

/** Where Mesa's software driver describes itself. */
const LAVAPIPE = '/usr/share/vulkan/icd.d/lvp_icd.x86_64.json';

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
