import { configDefaults, defineConfig } from 'vitest/config';

/** Gives transformers.js a runtime before it is first imported, and so wants its modules for itself. */
const ALONE = 'test/unit/serve/generation-rules.test.ts';

/**
 * Unit tests run in Node; what needs a browser is Playwright's (playwright.config.ts).
 *
 * The files of one process share their modules: to load these anew for each of a hundred files took as long as the tests.
 */
export default defineConfig({
  test: {
    unstubGlobals: true,
    testTimeout: 120_000,
    hookTimeout: 120_000,
    projects: [
      {
        extends: true,
        test: {
          name: 'shared modules',
          isolate: false,
          include: ['test/unit/**/*.test.ts'],
          exclude: [...configDefaults.exclude, ALONE],
        },
      },
      { extends: true, test: { name: 'own modules', include: [ALONE] } },
    ],
  },
});
