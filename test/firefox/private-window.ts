/**
 * A whole load in a private window, with what storage the browser gives it: Firefox ESR 153 gives none.
 *
 * In: the built app, the local hub, a Firefox. Out: an exit code.
 */
import assert from 'node:assert/strict';
import type { Page } from 'puppeteer-core';
import { startHub } from '../hub/index.ts';
import { checkpointFolder, readReference } from '../e2e/support.ts';
import { PRIVATE_WINDOWS } from './browser.ts';
import { runInBuiltApp } from './built-app.ts';

const MODEL = 'tiny-llama';

/** 0: all is well, or there is nothing to run it on. */
export function run(): Promise<number> {
  return runInBuiltApp((inPages) => inPages(checkLoad), { preferences: PRIVATE_WINDOWS });
}

/** On WebAssembly, in float32: then the greedy ids are all those of transformers. */
async function checkLoad(page: Page): Promise<void> {
  const { inputIds, ids: expected } = (await readReference(MODEL)).reference.greedy;
  const hub = await startHub({
    repositories: { 'test/model': { main: { directory: checkpointFolder(MODEL) ?? '' } } },
  });
  try {
    const { ids, report, directory } = await page.evaluate(
      async (endpoint, prompt, count) => {
        const directory = await navigator.storage.getDirectory().then(
          () => 'given',
          (error: unknown) => (error as Error).name,
        );
        const loader = window.firstlight.createLoader({ hub: { endpoint }, bundledBaseUrl: null });
        const model = await loader.load('test/model', { device: 'wasm', dtype: 'fp32' });
        const ids: number[] = [];
        const options = { do_sample: false, repetition_penalty: 1, max_new_tokens: count };
        for await (const { id } of model.generate(prompt, options)) ids.push(id);
        await loader.dispose();
        return { ids, report: model.report, directory };
      },
      hub.endpoint,
      [...inputIds],
      expected.length,
    );
    assert.deepEqual(ids, expected);
    assert.equal(report.storage.kind, directory === 'given' ? 'cache' : 'none');
    assert.ok(report.bytes.fromNetwork > 100_000, `${report.bytes.fromNetwork} bytes`);
    console.log(
      `  ok: a load in a private window (private file system: ${directory}; storage: ${report.storage.kind}): ` +
        `${ids.length} greedy ids are those of transformers`,
    );
  } finally {
    await hub.close();
  }
}
