/**
 * Builds the pages and workers of this folder as an app of somebody else would be built.
 */
import { fileURLToPath } from 'node:url';
import { build } from 'vite';

const ROOT = fileURLToPath(new URL('./', import.meta.url));

/** `file:`: one classic script, which is all that a page without a server can run. */
export async function buildRealms(outDir: string, { classic = false } = {}): Promise<void> {
  await build({
    configFile: false,
    root: ROOT,
    base: './',
    logLevel: 'error',
    worker: { format: 'es' },
    build: {
      outDir,
      target: 'es2023',
      modulePreload: { polyfill: false }, // it asks by an inline script, which a policy may forbid
      rolldownOptions: classic
        ? { input: `${ROOT}page.ts`, output: { format: 'iife', entryFileNames: 'page.js' } }
        : {
            input: { index: `${ROOT}index.html`, service: `${ROOT}service.worker.ts` },
            output: { entryFileNames: ({ name }) => (name === 'service' ? 'service.js' : 'assets/[name]-[hash].js') },
          },
    },
  });
}
