/**
 * The built app in a Firefox: what a part of `npm run test:firefox` runs in.
 */
import type { Browser, Page } from 'puppeteer-core';
import { build, type InlineConfig, preview } from 'vite';
import { findFirefox, inPage, startFirefox } from './browser.ts';

/** Runs something in a page of its own, which may be tried again in another: so it is one load, or less. */
export type InPage = <T>(work: (page: Page) => Promise<T>) => Promise<T>;

/** How the app is built, and what Firefox is told, where it matters. */
export interface BuiltAppOptions {
  readonly build?: InlineConfig;
  readonly preferences?: Readonly<Record<string, boolean>>;
  /** Skip, and say so, where the GPU does not compute in float16. */
  readonly needsFloat16?: boolean;
}

/** Yields an exit code; 0: all is well, or there is nothing to run it on. */
export async function runInBuiltApp(
  work: (inPages: InPage) => Promise<void>,
  options: BuiltAppOptions = {},
): Promise<number> {
  const executablePath = findFirefox();
  if (executablePath === null) {
    console.log('SKIPPED: no Firefox was found (Debian: apt-get install firefox-esr mesa-vulkan-drivers)');
    return 0;
  }
  const config: InlineConfig = { logLevel: 'error', ...options.build };
  try {
    await build(config);
    const server = await preview({ ...config, preview: { port: 0 } });
    let browser: Browser | null = null;
    try {
      browser = await startFirefox(executablePath, options.preferences);
      const inBrowser = browser;
      const inPages: InPage = (check) => inPage(inBrowser, server.resolvedUrls?.local[0] ?? '', check);
      if (!options.needsFloat16 || (await hasFloat16(inPages))) await work(inPages);
      return 0;
    } finally {
      await browser?.close();
      await server.close();
    }
  } catch (error) {
    console.error(error);
    return 1;
  }
}

async function hasFloat16(inPages: InPage): Promise<boolean> {
  const adapter = await inPages((page) => page.evaluate(() => window.firstlight.loader.adapter()));
  if (adapter?.features.includes('shader-f16')) return true;
  const lack = adapter ? 'the adapter of this Firefox lacks shader-f16' : 'this Firefox has no WebGPU adapter';
  console.log(`SKIPPED: ${lack}`);
  return false;
}
