/**
 * When a load finds out about its tokenizer, and what it does without one.
 */
import { readFile } from 'node:fs/promises';
import type { ContentSpec } from '../hub/index.ts';
import { checkpointFolder, expect, test, tryLoad } from './support.ts';

const FOLDER = checkpointFolder('tiny-qwen2') ?? '';
const ID = 'test/model';
const WEIGHTS = 'model.safetensors';

/** The checkpoint and some more files. */
const withFiles = (more: Readonly<Record<string, ContentSpec>>): { files: Record<string, ContentSpec> } => ({
  files: {
    ...Object.fromEntries(['config.json', WEIGHTS].map((name) => [name, { path: `${FOLDER}/${name}` }])),
    ...more,
  },
});

test('a tokenizer that cannot be made ends the load while the weights are still on their way', async ({
  app,
  openHub,
}) => {
  const broken = JSON.stringify({ model: { type: 'NoSuchModel', vocab: {} } });
  const hub = await openHub({ [ID]: { main: withFiles({ 'tokenizer.json': broken }) } });
  const { endpoint } = hub;
  await app.evaluate(
    async ([hubEndpoint, id]) => {
      const loader = window.firstlight.createLoader({ hub: { endpoint: hubEndpoint }, bundledBaseUrl: null });
      await loader.plan(id, { device: 'wasm' }); // leaves the header in the cache
      await loader.dispose();
    },
    [endpoint, ID] as const,
  );
  const stall = hub.misbehave({
    fault: { type: 'stall', afterBytes: 0 },
    path: /model\.safetensors/u,
    kinds: ['content'],
    times: Infinity,
  });
  // The weights never come: only the tokenizer can end this load.
  const failure = await tryLoad(app, ID, { endpoint, device: 'wasm' });
  expect(failure).toMatchObject({ code: 'tokenizer_invalid', stage: 'serve' });
  expect(failure?.message).toContain('NoSuchModel');
  stall.cancel();
});

test('a tokenizer of an unknown kind is refused by the plan; without one the model takes ids', async ({
  app,
  openHub,
}) => {
  const template = await readFile(`${FOLDER}/config.json`, 'utf8');
  const hub = await openHub({
    [ID]: { main: withFiles({ 'tekken.json': '{}', 'tokenizer_config.json': '{}', 'chat_template.jinja': template }) },
  });
  const { endpoint } = hub;
  const failure = await tryLoad(app, ID, { endpoint, device: 'wasm' });
  expect(failure).toMatchObject({ code: 'tokenizer_unsupported', stage: 'plan' });
  expect(failure?.message).toContain('tekken.json');
  const told = await app.evaluate(
    async ([hubEndpoint, id]) => {
      const { createLoader, isLoadError } = window.firstlight;
      const loader = createLoader({ hub: { endpoint: hubEndpoint }, bundledBaseUrl: null });
      const model = await loader.load(id, { device: 'wasm', tokenizer: 'none' });
      const ids: number[] = [];
      for await (const { id: token } of model.generate([1, 2, 3], { max_new_tokens: 2 })) ids.push(token);
      const code = await model.tokenize('text').catch((error: unknown) => isLoadError(error) && error.code);
      const { hasTokenizer, hasChatTemplate } = model.info;
      await loader.dispose();
      return { count: ids.length, code, hasTokenizer, hasChatTemplate };
    },
    [endpoint, ID] as const,
  );
  expect(told).toEqual({ count: 2, code: 'tokenizer_missing', hasTokenizer: false, hasChatTemplate: false });
  const read = new Set(hub.requests.entries.map(({ file }) => file));
  expect([...read]).not.toContain('chat_template.jinja');
  expect([...read]).not.toContain('tokenizer_config.json');
});
