/**
 * `node test/bench/run.mjs <name> [options]`: runs the benchmark `test/bench/<name>/bench.ts`.
 * Vite's module runner takes the TypeScript as it is; Node 20 would not.
 */
import { fileURLToPath } from 'node:url';
import { runnerImport } from 'vite';

const [name = '', ...args] = process.argv.slice(2);
const file = fileURLToPath(new URL(`./${name}/bench.ts`, import.meta.url));
const { module } = await runnerImport(file, { configFile: false, logLevel: 'error' });
await module.run(args);
// A browser or a server that will not end must not hold up whoever waits for the numbers.
process.exit();
