/**
 * Which browser the tests drive: an installed Chromium or Chrome where there is one, else Playwright's own.
 *
 * Out: `{ executablePath }` for an installed one, `{}` for Playwright's, or an error that says what to install.
 */
import { accessSync, constants, existsSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { chromium } from '@playwright/test';

const NAMES = ['chromium', 'chromium-browser', 'google-chrome-stable', 'google-chrome', 'chrome'];
const FIXED_PLACES = [
  '/Applications/Google Chrome.app/Contents/MacOS/Google Chrome',
  '/Applications/Chromium.app/Contents/MacOS/Chromium',
  'C:\\Program Files\\Google\\Chrome\\Application\\chrome.exe',
  'C:\\Program Files (x86)\\Google\\Chrome\\Application\\chrome.exe',
];

/** @returns {{ executablePath?: string }} launch options for Playwright */
export function findBrowser() {
  const onPath = (process.env.PATH ?? '').split(delimiter).flatMap((dir) => NAMES.map((name) => join(dir, name)));
  const installed = [process.env.CHROME_PATH ?? '', ...onPath, ...FIXED_PLACES].find(isExecutable);
  if (installed) return { executablePath: installed };
  if (existsSync(chromium.executablePath())) return {};
  throw new Error(
    'No Chromium or Chrome was found. Install one (Debian: apt-get install chromium), or let Playwright fetch its own: npx playwright install chromium',
  );
}

/** Flags that give WebGPU on a software adapter, so that the GPU path runs on machines without a GPU. */
export const GPU_FLAGS = ['--enable-unsafe-webgpu', '--use-webgpu-adapter=swiftshader'];

/** Keeps the browser from calling home: without a network its own refused connections get in the way of the tests'. */
export const QUIET_FLAGS = [
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
  '--no-first-run',
  ...(process.getuid?.() === 0 ? ['--no-sandbox'] : []),
];

/** @param {string} path */
function isExecutable(path) {
  try {
    accessSync(path, constants.X_OK);
    return path !== '';
  } catch {
    return false;
  }
}
