/**
 * `npm run test:firefox`: the float16 paths, which Chromium's software adapter lacks, in Firefox on Mesa's lavapipe. Needs a
 * Firefox and, on Linux without a GPU, the package mesa-vulkan-drivers; says so and passes where they are absent.
 */
import { fileURLToPath } from 'node:url';
import { runnerImport } from 'vite';

const file = fileURLToPath(new URL('./float16.ts', import.meta.url));
const { module } = await runnerImport(file, { configFile: false, logLevel: 'error' });
process.exit(await module.run());
