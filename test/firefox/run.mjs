/**
 * `npm run test:firefox [-- fetch | private | float16 | auto]`: what Chromium cannot show. The fetch stage in another engine; a
 * whole load in a private window; the float16 paths, and what dtype 'auto' makes of them, which Chromium's software adapter lacks, on
 * Mesa's lavapipe. Needs a Firefox and, for float16 on Linux without a GPU, the package mesa-vulkan-drivers; says so and passes
 * where they are absent.
 */
import { fileURLToPath } from 'node:url';
import { runnerImport } from 'vite';

const PARTS = {
  fetch: './fetch-stage.ts',
  private: './private-window.ts',
  float16: './float16.ts',
  auto: './auto-dtype.ts',
};
const asked = process.argv.slice(2);
const unknown = asked.filter((name) => !(name in PARTS));
if (unknown.length > 0) {
  console.error(`There is no part ${unknown.join(', ')}; there are: ${Object.keys(PARTS).join(', ')}.`);
  process.exit(2);
}
let code = 0;
for (const [name, path] of Object.entries(PARTS)) {
  if (asked.length > 0 && !asked.includes(name)) continue;
  const file = fileURLToPath(new URL(path, import.meta.url));
  const { module } = await runnerImport(file, { configFile: false, logLevel: 'error' });
  code = Math.max(code, await module.run());
}
process.exit(code);
