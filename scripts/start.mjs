/**
 * `npm start`: builds the app where its sources are newer than the last build, serves it and opens the browser.
 *
 * Environment: PORT (default 4173), CI (keeps the browser shut). Arguments: --no-open, --rebuild.
 */
import { readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { build, preview } from 'vite';

const SOURCES = ['src', 'workers', 'public', 'index.html', 'vite.config.ts', 'package-lock.json'];
const BUILT = 'dist/app/index.html';

const args = new Set(process.argv.slice(2));
if (args.has('--rebuild') || newest(SOURCES) > newest([BUILT])) {
  console.log('Building the app ...');
  await build({ logLevel: 'warn' });
}
const server = await preview({
  preview: { port: Number(process.env.PORT ?? 4173), open: !args.has('--no-open') && !process.env.CI },
});
server.printUrls();
console.log('  Press Ctrl+C to stop.');

/** @param {string[]} paths @returns {number} newest modification time below these paths, 0 where nothing is there */
function newest(paths) {
  let latest = 0;
  for (const path of paths) {
    const stat = statSync(path, { throwIfNoEntry: false });
    if (!stat) continue;
    const below = stat.isDirectory() ? newest(readdirSync(path).map((name) => join(path, name))) : 0;
    latest = Math.max(latest, stat.mtimeMs, below);
  }
  return latest;
}
