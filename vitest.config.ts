import { defineConfig } from 'vitest/config';

/** Unit tests run in Node; what needs a browser is Playwright's (playwright.config.ts). */
export default defineConfig({
  test: { include: ['test/unit/**/*.test.ts'], testTimeout: 120_000, hookTimeout: 120_000 },
});
