/**
 * What people do: open the page, load the bundled model, read a story; load again without a network; load from a hub.
 */
import { readFile } from 'node:fs/promises';
import AxeBuilder from '@axe-core/playwright';
import type { Page } from '@playwright/test';
import { STAGES } from '../../src/contract/errors.ts';
import { bundledModelId, checkpointFolder, expect, openApp, test } from './support.ts';

/** Fails the test if the page asks any host but its own: "with the network unplugged". */
async function unplug(page: Page, baseUrl: string): Promise<string[]> {
  const foreign: string[] = [];
  await page.context().route('**/*', async (route) => {
    const url = route.request().url();
    if (url.startsWith(baseUrl) || url.startsWith('blob:') || url.startsWith('data:')) return route.continue();
    foreign.push(url);
    return route.abort('internetdisconnected');
  });
  return foreign;
}

async function loadByButton(page: Page, device: string): Promise<void> {
  await page.getByLabel('Device', { exact: true }).selectOption(device);
  await page.getByRole('button', { name: 'Load', exact: true }).click();
  await expect(page.getByRole('status', { name: 'Load' })).toHaveText('The model is ready.');
}

for (const device of ['webgpu', 'wasm'] as const) {
  test(`first load on ${device}: every stage, then a story, asking no other host`, async ({ page, baseURL }) => {
    const foreign = await unplug(page, baseURL ?? '');
    await openApp(page);
    await loadByButton(page, device);
    for (const stage of STAGES) {
      await expect(page.locator(`[data-stage="${stage}"]`)).toHaveAttribute('data-state', 'done');
    }
    // The model introduces itself with a story as soon as it is ready. Which one is left to chance, so it is not read.
    const output = page.getByTestId('answer').last();
    const stop = page.getByRole('button', { name: 'Stop', exact: true });
    await expect(output).not.toBeEmpty();
    await stop.click();
    await expect(stop).toHaveAttribute('aria-disabled', 'true');
    expect(foreign).toEqual([]);
    if (device === 'webgpu') return; // a software GPU takes its time over a whole story; reference.spec.ts reads its numbers

    // Always the best token: then the story is the one that transformers tells.
    const { prompt, story } = await readRecordedStory();
    await page.getByRole('button', { name: 'Start anew', exact: true }).click();
    await page.getByText('Sampling', { exact: true }).click();
    await page.getByLabel('Token choice', { exact: true }).selectOption('greedy');
    await page.getByLabel('Prompt', { exact: true }).fill(prompt);
    await page.getByRole('button', { name: 'Generate', exact: true }).click();
    await expect(output).toHaveText(story);
  });
}

/** A request to the bundled model, and the answer that Hugging Face transformers gave in Python, greedily. */
async function readRecordedStory(): Promise<{ readonly prompt: string; readonly story: string }> {
  const path = new URL('../fixtures/reference/storyteller-2m.json', import.meta.url);
  const { chatGreedy } = JSON.parse(await readFile(path, 'utf8')) as {
    readonly chatGreedy: { readonly messages: readonly { readonly content: string }[]; readonly text: string };
  };
  return { prompt: chatGreedy.messages[0]?.content ?? '', story: chatGreedy.text };
}

test('a software GPU: auto takes WASM and says so, webgpu takes the GPU', async ({ app }) => {
  const [adapter, auto, asked] = await app.evaluate(
    async (id) => {
      const { loader } = window.firstlight;
      return [await loader.adapter(), await loader.plan(id), await loader.plan(id, { device: 'webgpu' })] as const;
    },
    await bundledModelId(app),
  );
  test.skip(adapter?.isFallbackAdapter !== true, 'this browser has a real GPU');
  expect(auto.device).toBe('wasm');
  expect(auto.deviceReason).toContain('emulated on the CPU');
  expect(auto.dtypeReason).not.toBe('');
  expect(asked).toMatchObject({ device: 'webgpu', deviceReason: 'As requested.' });
});

for (const device of ['webgpu', 'wasm'] as const) {
  const often = device === 'wasm' ? '' : ' @long';
  test(`second load on ${device}: no weight byte crosses the network, after a reload too${often}`, async ({ app }) => {
    const id = await bundledModelId(app);
    const load = (): Promise<{ fromNetwork: number; fromCache: number; offline: boolean; story: string }> =>
      app.evaluate(
        async ([modelId, on]) => {
          const model = await window.firstlight.loader.load(modelId, { dtype: 'q8', device: on });
          let story = '';
          for await (const { text } of model.generate('Once upon a time', { do_sample: false, max_new_tokens: 24 })) {
            story += text;
          }
          const { bytes, offline } = model.report;
          await model.dispose();
          return { ...bytes, offline, story };
        },
        [id, device] as const,
      );
    // In place before there are workers: to turn it on while one of them ends can leave Playwright waiting for that one.
    const asked: string[] = [];
    let isCut = false;
    await app.context().route('**/models/**', async (route) => {
      if (!isCut) return route.continue();
      asked.push(route.request().url());
      return route.abort('internetdisconnected');
    });
    const first = await load();
    expect(first.fromNetwork).toBeGreaterThan(1_000_000);

    isCut = true;
    const second = await load();
    expect(second).toMatchObject({ fromNetwork: 0, story: first.story });
    await openApp(app);
    const third = await load();
    expect(third).toMatchObject({ fromNetwork: 0, offline: true, story: first.story });
    expect(asked.filter((url) => url.endsWith('.safetensors'))).toEqual([]);
  });
}

test('a hub: revision to commit, files by commit, ranges, redirects to a CDN, verified', async ({ app, openHub }) => {
  const id = 'org/tiny';
  const hub = await openHub({ [id]: { main: { directory: checkpointFolder('tiny-llama') ?? '' } } });
  const { sha } = hub.commitOf(id);
  const load = (): Promise<{ commit: string; fromNetwork: number; fromCache: number }> =>
    app.evaluate(
      async ([endpoint, modelId]) => {
        const loader = window.firstlight.createLoader({ hub: { endpoint }, bundledBaseUrl: null });
        const model = await loader.load(modelId, { device: 'wasm' });
        await loader.dispose();
        const { fromNetwork, fromCache } = model.report.bytes;
        return { commit: model.report.commit, fromNetwork, fromCache };
      },
      [hub.endpoint, id] as const,
    );
  const first = await load();
  const sizeBytes = hub.requests.contentBytes();
  expect(first).toEqual({ commit: sha, fromNetwork: sizeBytes, fromCache: 0 });
  const files = hub.requests.entries.filter((entry) => entry.kind === 'resolve');
  expect(files.length).toBeGreaterThan(0);
  for (const { url } of files) expect(url, 'addressed by commit, never by branch').toContain(sha);
  const weights = hub.requests.entries.filter(
    (entry) => entry.kind === 'content' && entry.file?.endsWith('.safetensors'),
  );
  expect(weights.every((entry) => entry.server === 'cdn' && entry.status === 206 && entry.range !== null)).toBe(true);

  hub.requests.clear();
  const second = await load();
  expect(second).toEqual({ commit: sha, fromNetwork: 0, fromCache: sizeBytes });
  expect(hub.requests.contentBytes()).toBe(0);
});

test('several turns reuse what the cache holds, and seeds repeat', async ({ app }) => {
  const outcome = await app.evaluate(
    async (modelId) => {
      const model = await window.firstlight.loader.load(modelId, { device: 'wasm' });
      const ask = async (messages: { role: string; content: string }[], seed: number) => {
        let answer = '';
        let reused = 0;
        const options = { seed, do_sample: true, temperature: 0.9, top_k: 40, top_p: 0.9, max_new_tokens: 30 };
        const onReport = (report: { reusedTokens: number }): void => {
          reused = report.reusedTokens;
        };
        for await (const { text } of model.generate(messages, { ...options, onReport })) answer += text;
        return { answer, reused };
      };
      const question = { role: 'user', content: 'Tell me a story about a fox.' };
      const first = await ask([question], 1);
      const next = { role: 'user', content: 'Tell me a story about a boat.' };
      const second = await ask([question, { role: 'assistant', content: first.answer }, next], 2);
      const again = await ask([question], 1);
      const other = await ask([question], 5);
      await model.dispose();
      return { first, second, again, other };
    },
    await bundledModelId(app),
  );
  expect(outcome.second.reused).toBeGreaterThan(10);
  expect(outcome.again.answer).toBe(outcome.first.answer);
  expect(outcome.other.answer).not.toBe(outcome.first.answer);
});

test('the page: no accessibility violations, usable by keyboard', async ({ page }) => {
  for (const colorScheme of ['light', 'dark'] as const) {
    await page.emulateMedia({ colorScheme });
    await openApp(page);
    const { violations } = await new AxeBuilder({ page }).analyze();
    expect(violations.map(({ id, nodes }) => `${id}: ${nodes.map((node) => node.html).join(' ')}`)).toEqual([]);
  }
  await page.getByLabel('Device', { exact: true }).selectOption('wasm'); // the faster one where the GPU is software
  await page.getByLabel('Model', { exact: true }).focus();
  await page.keyboard.press('Enter');
  await expect(page.getByRole('status', { name: 'Load' })).toHaveText('The model is ready.');
});
