/**
 * `node test/bench/decode.mjs [folder ...] [--dtype q4] [--tokens 256] [--rounds 5] [--sample] [--out file.json]`: tokens a
 * second and JavaScript time a token, of our token loop and of transformers.js, on the same page in the same run.
 *
 * A folder holds a checkpoint; default: the bundled model and the tiny ones. Medians of the rounds; the contenders take
 * turns. Prints a table and writes JSON. Nothing is asserted but that greedy contenders give the same ids.
 */
import { mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import { basename, dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { chromium } from '@playwright/test';
import { createServer, runnerImport } from 'vite';
import { findBrowser, GPU_FLAGS, QUIET_FLAGS } from '../../scripts/find-browser.mjs';

const ROOT = fileURLToPath(new URL('../../', import.meta.url));
const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    dtype: { type: 'string', default: 'fp32' },
    tokens: { type: 'string', default: '256' },
    rounds: { type: 'string', default: '5' },
    prefill: { type: 'string', default: '512' },
    sample: { type: 'boolean', default: false },
    // The machine's own GPU instead of the software adapter.
    gpu: { type: 'boolean', default: false },
    out: { type: 'string', default: join(ROOT, 'test-results/bench/decode.json') },
  },
});
const folders = positionals.length > 0 ? positionals.map((folder) => resolve(folder)) : listDefaultFolders();

const { module: hubModule } = await runnerImport(join(ROOT, 'test/hub/index.ts'), {
  configFile: false,
  logLevel: 'error',
});
const repositories = Object.fromEntries(
  folders.map((folder) => [`bench/${basename(folder)}`, { main: { directory: folder } }]),
);
const hub = await hubModule.startHub({ repositories });
const server = await createServer({
  configFile: false,
  root: ROOT,
  logLevel: 'error',
  cacheDir: join(ROOT, 'node_modules/.vite-decode-bench'),
  server: { port: 0, host: '127.0.0.1', hmr: false, watch: null },
  worker: { format: 'es' },
  optimizeDeps: {
    entries: ['test/bench/decode/index.html'],
    include: ['comlink', 'hash-wasm', 'idb-keyval', '@bufbuild/protobuf'],
    exclude: ['onnxruntime-web', '@huggingface/transformers'],
  },
  resolve: { dedupe: ['onnxruntime-web', 'onnxruntime-common'] },
});
await server.listen();
const args = values.gpu ? ['--enable-unsafe-webgpu', '--enable-features=Vulkan'] : GPU_FLAGS;
const browser = await chromium.launch({ ...findBrowser(), args: [...args, ...QUIET_FLAGS] });

const report = [];
try {
  for (const folder of folders) {
    const page = await browser.newPage();
    page.on('pageerror', (error) => console.error(error.message));
    await page.goto(`${server.resolvedUrls?.local[0] ?? ''}test/bench/decode/index.html`);
    await page.waitForFunction(() => 'measureDecode' in window);
    const request = {
      endpoint: hub.endpoint,
      modelId: `bench/${basename(folder)}`,
      dtype: values.dtype,
      tokens: Number(values.tokens),
      rounds: Number(values.rounds),
      prefillTokens: Number(values.prefill),
      sampling: values.sample ? { temperature: 0.8, topK: 50, topP: 1 } : null,
    };
    const { rounds, prefill } = await page.evaluate((given) => window.measureDecode(given), request);
    report.push({
      model: basename(folder),
      dtype: values.dtype,
      sampled: values.sample,
      ...summarize(rounds),
      prefill: summarizePrefill(prefill),
    });
    await page.close();
  }
} finally {
  await browser.close();
  await server.close();
  await hub.close();
}
console.table(
  report.flatMap(({ model, dtype, contenders, sameIds }) =>
    Object.entries(contenders).map(([contender, { tokensPerSecond, scriptMs, runMs, firstTokenMs, speed }]) => ({
      model,
      dtype,
      contender,
      'tokens/s': round(tokensPerSecond),
      '÷ plain': round(speed),
      'script ms': round(scriptMs),
      'run ms': runMs === null ? '' : round(runMs),
      'first token ms': round(firstTokenMs),
      'same ids': sameIds,
    })),
  ),
);
console.table(
  report
    .filter(({ prefill }) => prefill !== null)
    .map(({ model, dtype, prefill: { tokens, oursMs, plainMs, speed } }) => ({
      model,
      dtype,
      'prefill tokens': tokens,
      'ours ms': round(oursMs),
      'plain ms': round(plainMs),
      '÷ plain': round(speed),
    })),
);
mkdirSync(dirname(values.out), { recursive: true });
writeFileSync(values.out, `${JSON.stringify(report, null, 2)}\n`);
console.log(`written to ${values.out}`);

/** @param {import('./decode/page.ts').DecodeRound[]} rounds */
function summarize(rounds) {
  const names = [...new Set(rounds.map(({ contender }) => contender))];
  const of = (name, key) => median(rounds.filter(({ contender }) => contender === name).map((round) => round[key]));
  const plain = of('plainSession', 'tokensPerSecond');
  const contenders = Object.fromEntries(
    names.map((name) => [
      name,
      {
        tokensPerSecond: of(name, 'tokensPerSecond'),
        speed: of(name, 'tokensPerSecond') / plain,
        scriptMs: of(name, 'scriptMs'),
        runMs: name === 'tokenLoop' ? null : of(name, 'runMs'),
        firstTokenMs: of(name, 'firstTokenMs'),
      },
    ]),
  );
  const idsOf = (name) => JSON.stringify(rounds.filter(({ contender }) => contender === name).map(({ ids }) => ids));
  return { contenders, sameIds: new Set(names.map(idsOf)).size === 1, rounds };
}

/** @param {import('./decode/page.ts').DecodeResult['prefill']} prefill */
function summarizePrefill(prefill) {
  if (prefill === null) return null;
  const [oursMs, plainMs] = [median(prefill.oursMs), median(prefill.plainMs)];
  return { tokens: prefill.tokens, oursMs, plainMs, speed: plainMs / oursMs };
}

function median(numbers) {
  const sorted = [...numbers].sort((a, b) => a - b);
  return sorted[Math.floor(sorted.length / 2)];
}

function round(value) {
  return Number(value.toPrecision(3));
}

function listDefaultFolders() {
  const below = (folder) => readdirSync(join(ROOT, folder)).map((name) => join(ROOT, folder, name));
  return [...below('public/models/firstlight'), ...below('test/fixtures/models')];
}
