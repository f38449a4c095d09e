/**
 * Browser tests: the built app and the local hub, in a Chromium with WebGPU on a software adapter.
 */
import { defineConfig } from '@playwright/test';
import { findBrowser, GPU_FLAGS, QUIET_FLAGS } from './scripts/find-browser.mjs';

// A port of this run's own: a server that another run left behind must not stand in for ours. Kept in the environment,
// because Playwright reads this file again in each of its workers.
const PORT = Number((process.env['TEST_PORT'] ??= String(20_000 + Math.floor(Math.random() * 20_000))));

export default defineConfig({
  testDir: 'test',
  testMatch: ['browser/**/*.spec.ts', 'e2e/**/*.spec.ts'],
  // `npm run test:long` runs these too: more of the same kind, for which a software GPU takes its time.
  ...(process.env['LONG'] ? {} : { testIgnore: ['**/*.long.spec.ts'], grepInvert: /@long/u }),
  // Test by test, not file by file: no worker ends with a long file while the other has nothing left to do.
  fullyParallel: true,
  // Two: while one test computes on the software GPU, another waits for a network or a disk. More only wait for the cores.
  workers: 2,
  timeout: 900_000,
  // What fails twice has failed; what fails once is named as flaky.
  retries: 1,
  // A load on a software GPU takes a minute where the machine has other work, too: what is right in the end has passed.
  expect: { timeout: 240_000 },
  reporter: [['list'], ['./test/skip-reporter.ts']],
  // Emptied by each run; the benchmarks' reports lie beside it.
  outputDir: 'test-results/browser',
  use: {
    baseURL: `http://localhost:${PORT}`,
    headless: true,
    // The app's service worker would stand between the tests and what they watch; offline.spec.ts is about it.
    serviceWorkers: 'block',
    screenshot: 'only-on-failure',
    // What moves for the eye alone would cost the software GPU a third of a core.
    contextOptions: { reducedMotion: 'reduce' },
    launchOptions: { ...findBrowser(), args: [...GPU_FLAGS, ...QUIET_FLAGS] },
  },
  webServer: {
    command: 'node scripts/start.mjs --no-open --rebuild',
    env: { PORT: String(PORT) },
    url: `http://localhost:${PORT}/index.html`,
    reuseExistingServer: false,
    timeout: 300_000,
  },
});
