/**
 * The library as its users have it: packed, installed into a project of its own, bundled by that project, and run.
 */
import { execFile } from 'node:child_process';
import { mkdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { build } from 'vite';
import type { createLoader } from '../../src/index.ts';
import { AppServer } from './app-server.ts';
import { checkpointFolder, expect, readReference, test } from './support.ts';

const run = promisify(execFile);
const ROOT = fileURLToPath(new URL('../../', import.meta.url));

test('the packed library, in a page of somebody else', async ({ page, openHub }) => {
  // Below node_modules, so that the library's own dependencies are found where npm would have put them.
  const project = join(ROOT, 'node_modules/.library-test');
  const installed = join(project, 'node_modules/firstlight');
  await rm(project, { recursive: true, force: true });
  await mkdir(installed, { recursive: true });
  await run('npm', ['run', 'build:lib'], { cwd: ROOT });
  const { stdout } = await run('npm', ['pack', '--json', '--pack-destination', project], { cwd: ROOT });
  const [{ filename }] = JSON.parse(stdout) as [{ filename: string }];
  await run('tar', ['-xzf', join(project, filename), '--strip-components=1', '-C', installed]);

  await writeFile(join(project, 'index.html'), '<!doctype html><script type="module" src="./main.ts"></script>');
  await writeFile(
    join(project, 'main.ts'),
    "import * as library from 'firstlight';\nObject.assign(window, { library });\n",
  );
  await build({
    configFile: false,
    root: project,
    base: './',
    logLevel: 'error',
    worker: { format: 'es' },
    build: { target: 'es2022' },
  });
  const server = new AppServer(join(project, 'dist'));
  await server.start();
  try {
    const { reference } = await readReference('tiny-qwen2');
    const hub = await openHub({ 'test/model': { main: { directory: checkpointFolder('tiny-qwen2') ?? '' } } });
    await page.goto(`${server.origin}/index.html`);
    await page.waitForFunction(() => 'library' in window);
    const ids = await page.evaluate(
      async ([endpoint, prompt]) => {
        const { library } = window as unknown as { library: { createLoader: typeof createLoader } };
        const loader = library.createLoader({ hub: { endpoint }, bundledBaseUrl: null });
        const model = await loader.load('test/model', { device: 'wasm', dtype: 'fp32' });
        const made: number[] = [];
        for await (const { id } of model.generate(prompt, { max_new_tokens: 20, do_sample: false })) made.push(id);
        await model.dispose();
        return made;
      },
      [hub.endpoint, reference.greedy.inputIds] as const,
    );
    expect(ids).toEqual(reference.greedy.ids.slice(0, 20));
  } finally {
    await server.stop();
    await rm(project, { recursive: true, force: true });
  }
});
