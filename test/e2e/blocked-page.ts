/**
 * A page of a browser whose settings say: sites may keep nothing. It has no private file system, no database and no locks.
 */
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { chromium, type Page } from '@playwright/test';
import { findBrowser, GPU_FLAGS, QUIET_FLAGS } from '../../scripts/find-browser.mjs';
import { openApp, test as base } from './support.ts';

/** `blocked`: the app in such a page. Nothing is left of a test there, and so all tests of a worker have the same one. */
export const test = base.extend<object, { blocked: Page }>({
  blocked: [
    async ({ browserName: _ }, use, { project }) => {
      const profileDir = await mkdtemp(join(tmpdir(), 'firstlight-blocked-'));
      await mkdir(join(profileDir, 'Default'));
      const preferences = { profile: { default_content_setting_values: { cookies: 2 } } };
      await writeFile(join(profileDir, 'Default/Preferences'), JSON.stringify(preferences));
      const context = await chromium.launchPersistentContext(profileDir, {
        ...findBrowser(),
        args: [...GPU_FLAGS, ...QUIET_FLAGS],
        baseURL: project.use.baseURL ?? '',
      });
      const page = await context.newPage();
      await openApp(page);
      await use(page);
      await context.close();
      await rm(profileDir, { recursive: true, force: true, maxRetries: 5 });
    },
    { scope: 'worker' },
  ],
});
