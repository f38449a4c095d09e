/**
 * Browser tests: the built app and the local hub, in a Chromium with WebGPU on a software adapter.
 */
import { defineConfig } from '@playwright/test';
import { findBrowser, GPU_FLAGS, QUIET_FLAGS } from './scripts/find-browser.mjs';

const PORT = Number(process.env['TEST_PORT'] ?? 4471);

export default defineConfig({
  testDir: 'test',
  testMatch: ['browser/**/*.spec.ts', 'e2e/**/*.spec.ts'],
  testIgnore: process.env['LONG'] ? [] : ['**/*.long.spec.ts'],
  fullyParallel: false,
  // The software GPU computes on the same cores that the tests run on: more workers only make each other wait.
  workers: 1,
  timeout: 120_000,
  expect: { timeout: 30_000 },
  reporter: [['list']],
  outputDir: 'test-results',
  use: {
    baseURL: `http://localhost:${PORT}`,
    headless: true,
    screenshot: 'only-on-failure',
    launchOptions: { ...findBrowser(), args: [...GPU_FLAGS, ...QUIET_FLAGS] },
  },
  webServer: {
    command: 'node scripts/start.mjs --no-open --rebuild',
    env: { PORT: String(PORT) },
    url: `http://localhost:${PORT}/index.html`,
    reuseExistingServer: false,
    timeout: 120_000,
  },
});
