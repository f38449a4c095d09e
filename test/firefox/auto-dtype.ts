/**
 * `dtype: 'auto'` with a model that float16 does not hold, on a GPU that computes in float16.
 *
 * In: the app, built with other sizes from which on 'auto' takes four bits, so that a tiny checkpoint is a large one; the local
 * hub; a Firefox with WebGPU. Out: an exit code. Expected: what the same checkpoint gives where q4 is asked for.
 */
import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Plugin } from 'vite';
import type { CacheMode, LoadEvent, LoadReport } from '../../src/contract/load.ts';
import { startHub } from '../hub/index.ts';
import { type InPage, runInBuiltApp } from './built-app.ts';
import { makeOverflowing } from './overflowing.ts';

/** 0: all is well, or there is nothing to run it on. */
export async function run(): Promise<number> {
  const outDir = await mkdtemp(join(tmpdir(), 'firstlight-auto-'));
  const config = {
    plugins: [takeSmallSizes()],
    worker: { plugins: () => [takeSmallSizes()] },
    build: { outDir, emptyOutDir: true, sourcemap: false },
  };
  const work = async (inPages: InPage): Promise<void> => {
    await goesOnByItself(inPages);
    await goesOnWithoutCache(inPages);
  };
  try {
    return await runInBuiltApp(work, { build: config, needsFloat16: true });
  } finally {
    await rm(outDir, { recursive: true });
  }
}

/** One load, as the page sees it. */
interface Outcome {
  readonly events: readonly LoadEvent[];
  readonly report: LoadReport | null;
  readonly error: { readonly code: string; readonly detail: Readonly<Record<string, unknown>> } | null;
  readonly logits: readonly number[];
}

/** The load goes on in q4 with the files that it has; the next one begins with q4, until the model is deleted. */
async function goesOnByItself(inPages: InPage): Promise<void> {
  const hub = await startHub({ repositories: { 'test/model': { main: { files: await makeOverflowing() } } } });
  const weightBytes = (): number => hub.requests.contentBytes({ file: 'model.safetensors' });
  try {
    await inPages((page) => page.evaluate(() => window.firstlight.loader.cache.clear()));
    const first = await load(inPages, hub.endpoint, 'auto');
    assert.ok(first.report, JSON.stringify(first.error));
    assert.equal(first.report.dtype, 'q4');
    expectOneRestart(first.events);
    const notices = first.report.notices.filter((notice) => notice.includes('q4f16'));
    assert.equal(notices.length, 1, JSON.stringify(first.report.notices));
    assert.match(
      notices[0] ?? '',
      /^q4f16, which "auto" chose, .*: Logit \d+ of a first prompt is NaN\. .* goes on in q4 .* Nothing is downloaded again\. .* begins with q4\.$/u,
    );
    console.log(`  ${notices[0]}`);
    const downloadedBytes = weightBytes();
    const fetched = first.events.flatMap((event) => (event.type === 'plan' ? event.plan.costs.downloadBytes : []));
    assert.deepEqual(fetched, [downloadedBytes, downloadedBytes]);
    assert.equal(first.report.bytes.fromNetwork, hub.requests.contentBytes());

    const second = await load(inPages, hub.endpoint, 'auto');
    assert.equal(second.report?.dtype, 'q4');
    assert.deepEqual(restarts(second.events), []);
    const [reason] = reasons(second.events);
    assert.match(reason ?? '', /In q4f16 .* gave wrong values on this GPU \(Logit \d+ of a first prompt is NaN\)\.$/u);
    console.log(`  the next load: ${reason}`);
    assert.ok(second.report.bytes.fromPrepared > 0, 'what was prepared is that of q4');

    const asked = await load(inPages, hub.endpoint, 'q4');
    assert.deepEqual(restarts(asked.events), []);
    assert.deepEqual(first.logits, asked.logits);
    assert.ok(asked.logits.length > 0 && asked.logits.every((value) => Number.isFinite(value)));
    // Nothing of the first attempt is left on the device.
    assert.equal(first.report.memory.gpuBytes, asked.report?.memory.gpuBytes);

    const narrow = await load(inPages, hub.endpoint, 'q4f16');
    assert.equal(narrow.error?.code, 'output_mismatch', 'what is asked for by name is refused');
    assert.deepEqual(restarts(narrow.events), []);
    assert.equal(weightBytes(), downloadedBytes, 'no weight byte came twice');

    await inPages((page) => page.evaluate(() => window.firstlight.loader.cache.delete({ modelId: 'test/model' })));
    const forgotten = await load(inPages, hub.endpoint, 'auto');
    assert.equal(forgotten.report?.dtype, 'q4');
    expectOneRestart(forgotten.events);
  } finally {
    await hub.close();
  }
}

/** Where nothing is kept, the files come twice, the notice says so, and so does the next load. */
async function goesOnWithoutCache(inPages: InPage): Promise<void> {
  const hub = await startHub({ repositories: { 'test/model': { main: { files: await makeOverflowing() } } } });
  try {
    for (let round = 1; round <= 2; round++) {
      const { report, events, error } = await load(inPages, hub.endpoint, 'auto', 'none');
      assert.ok(report, JSON.stringify(error));
      assert.equal(report.dtype, 'q4');
      expectOneRestart(events);
      const downloadBytes =
        events.flatMap((event) => (event.type === 'plan' ? event.plan.costs.downloadBytes : []))[0] ?? 0;
      assert.ok(
        report.notices.some((notice) => notice.includes(`${downloadBytes} bytes are downloaded again. That is not`)),
      );
      assert.ok(hub.requests.contentBytes({ file: 'model.safetensors' }) >= round * 2 * downloadBytes);
      assert.equal(new Set(report.notices).size, report.notices.length, 'nothing is said twice');
    }
  } finally {
    await hub.close();
  }
}

function load(
  inPages: InPage,
  endpoint: string,
  dtype: 'auto' | 'q4' | 'q4f16',
  cache: CacheMode = 'auto',
): Promise<Outcome> {
  return inPages((page) =>
    page.evaluate(
      async (from, as, mode) => {
        const loader = window.firstlight.createLoader({ hub: { endpoint: from }, bundledBaseUrl: null });
        const events: LoadEvent[] = [];
        const onProgress = (event: LoadEvent): void => void events.push(event);
        try {
          const model = await loader.load('test/model', { device: 'webgpu', dtype: as, cache: mode, onProgress });
          return { events, report: model.report, error: null, logits: [...(await model.logits([1, 2, 3]))] };
        } catch (error) {
          if (!window.firstlight.isLoadError(error)) throw error;
          return { events, report: null, error: { code: error.code, detail: error.detail }, logits: [] };
        } finally {
          await loader.dispose();
        }
      },
      endpoint,
      dtype,
      cache,
    ),
  );
}

/** The feed's invariants hold on both sides of the restart, and it comes when the device has refused. */
function expectOneRestart(events: readonly LoadEvent[]): void {
  assert.deepEqual(restarts(events), ['plan']);
  const at = events.findIndex(({ type }) => type === 'restart');
  const stagesOf = (part: readonly LoadEvent[], type: 'stageStart' | 'stageEnd'): readonly string[] =>
    part.flatMap((event) => (event.type === type ? event.stage : [])).sort();
  const [before, after] = [events.slice(0, at), events.slice(at + 1)];
  assert.deepEqual(stagesOf(before, 'stageStart'), ['build', 'fetch', 'fill', 'place', 'plan', 'resolve', 'warmUp']);
  const anew = ['build', 'fetch', 'fill', 'place', 'plan', 'serve', 'warmUp'];
  assert.deepEqual(stagesOf(after, 'stageStart'), anew);
  assert.deepEqual(stagesOf(after, 'stageEnd'), anew);
  assert.equal(events.at(-1)?.type, 'ready');
  assert.deepEqual(
    events.flatMap((event) => (event.type === 'plan' ? event.plan.dtype : [])),
    ['q4f16', 'q4'],
  );
}

function restarts(events: readonly LoadEvent[]): readonly string[] {
  return events.flatMap((event) => (event.type === 'restart' ? event.stage : []));
}

function reasons(events: readonly LoadEvent[]): readonly string[] {
  return events.flatMap((event) => (event.type === 'plan' ? event.plan.dtypeReason : []));
}

/** Puts other sizes in the place of the app's own. */
function takeSmallSizes(): Plugin {
  const path = fileURLToPath(new URL('./small-sizes.ts', import.meta.url));
  return {
    name: 'small-sizes',
    enforce: 'pre',
    resolveId: (source) => (source.endsWith('/auto-sizes.ts') ? path : null),
  };
}
