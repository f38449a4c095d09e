/**
 * `npm run build:lib`: the npm library, as plain ES modules with declarations.
 *
 * Nothing is bundled: the user's bundler sees `new Worker(new URL(..., import.meta.url))` and onnxruntime's own
 * `new URL('….wasm', import.meta.url)`, both of which Vite, webpack and Rollup know how to follow.
 */
import { execFileSync } from 'node:child_process';
import { cpSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

const OUT = 'dist/lib';

rmSync(OUT, { recursive: true, force: true });
for (const project of ['tsconfig.lib.json', 'workers/tsconfig.lib.json']) {
  execFileSync(process.execPath, ['node_modules/typescript/bin/tsc', '-p', project], { stdio: 'inherit' });
}
// The ONNX messages are JavaScript with declarations beside it, which TypeScript leaves where they are.
cpSync('src/onnx/generated', join(OUT, 'src/onnx/generated'), { recursive: true });
// TypeScript rewrites the extensions of imports, but not those inside `new URL(...)`.
for (const name of readdirSync(OUT, { recursive: true, encoding: 'utf8' })) {
  if (!name.endsWith('.js')) continue;
  const path = join(OUT, name);
  const code = readFileSync(path, 'utf8');
  const rewritten = code.replaceAll(/(new URL\('[^']+\.worker)\.ts'/gu, "$1.js'");
  if (rewritten !== code) writeFileSync(path, rewritten);
}
