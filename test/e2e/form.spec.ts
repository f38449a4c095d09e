/**
 * The form of the page: pressed before the page knows its own models, and plans that are asked for alone;
 * and repositories that hold no model, pasted into it.
 */
import type { Page } from '@playwright/test';
import type { ContentSpec } from '../hub/index.ts';
import { checkpointFolder, expect, openApp, test } from './support.ts';

/** Holds back the list of models that come with the page until the function that it yields is called. */
async function holdModelIndex(page: Page): Promise<() => void> {
  let release = (): void => undefined;
  const released = new Promise<void>((resolve) => (release = resolve));
  await page.route('**/models/index.json', async (route) => {
    await released;
    await route.continue();
  });
  return release;
}

const form = (page: Page) => page.getByRole('status', { name: 'Form' });
const button = (page: Page, name: string) => page.getByRole('button', { name, exact: true });

test('Load, pressed before the page knows its own models, loads as soon as it does', async ({ page }) => {
  const release = await holdModelIndex(page);
  await openApp(page);
  await page.getByLabel('Device', { exact: true }).selectOption('wasm');
  await button(page, 'Load').click();
  await expect(form(page)).toHaveText(/^Looking up/u);
  release();
  await expect(page.getByRole('status', { name: 'Load' })).toHaveText('The model is ready.');
  await expect(form(page)).toHaveText('');
});

test('a press that waits for the models of the page is taken back by Cancel and by typing an id', async ({ page }) => {
  const release = await holdModelIndex(page);
  await openApp(page);
  await button(page, 'Plan only').click();
  await expect(form(page)).toHaveText(/^Looking up/u);
  await button(page, 'Cancel').click();
  await expect(form(page)).toHaveText('');
  await button(page, 'Plan only').click();
  await page.getByLabel('Model', { exact: true }).fill('o');
  await expect(form(page)).toHaveText('');
  release();
  await expect.poll(() => page.evaluate(async () => (await window.firstlight.loader.bundled()).length)).toBe(1);
  await expect(page.locator('[data-stage][data-state="waiting"]')).toHaveCount(8);
});

test('Plan only, where a page has no models of its own: says that a name is missing', async ({ page }) => {
  await page.route('**/models/index.json', (route) => route.fulfill({ status: 404 }));
  await openApp(page);
  await button(page, 'Plan only').click();
  await expect(page.getByLabel('Model', { exact: true })).toBeFocused();
  await expect(page.getByLabel('Model', { exact: true })).toHaveAttribute('aria-invalid', 'true');
});

test('a plan alone shows its stages: done with their times, or where it failed', async ({ page, openHub }) => {
  const config = { model_type: 'unheard-of' };
  const hub = await openHub({ 'org/odd': { main: { files: { 'config.json': JSON.stringify(config) } } } });
  await openApp(page);
  const status = page.getByRole('status', { name: 'Load' });
  const stage = (name: string) => page.locator(`[data-stage="${name}"]`);
  await button(page, 'Plan only').click();
  await expect(status).toHaveText('The plan is made.');
  await expect(stage('resolve')).toHaveAttribute('data-state', 'done');
  await expect(stage('plan')).toHaveAttribute('data-state', 'done');
  await expect(stage('build')).toHaveAttribute('data-state', 'waiting');

  await page.getByText('Hub', { exact: true }).click();
  await page.getByLabel('Endpoint').fill(hub.endpoint);
  await page.getByLabel('Model', { exact: true }).fill('org/odd');
  await button(page, 'Plan only').click();
  await expect(page.getByRole('alert')).toBeVisible();
  await expect(stage('resolve')).toHaveAttribute('data-state', 'done');
  await expect(stage('plan')).toHaveAttribute('data-state', 'failed');
  await expect(stage('resolve')).toContainText(/\d\s(ms|s)/u);
});

const CHECKPOINT = checkpointFolder('tiny-qwen2') ?? '';
const real = (name: string): ContentSpec => ({ path: `${CHECKPOINT}/${name}` });
/** Nothing that is refused has this much of a file read: configs, indexes, the start of a safetensors file. */
const SMALL_BYTES = 64 * 1024;
const LARGE: ContentSpec = { synthetic: { seed: 1, sizeBytes: 8_000_000 } };

/** What git leaves in a clone: https://github.com/git-lfs/git-lfs/blob/main/docs/spec.md */
const pointer = (sizeBytes: number): string =>
  `version https://git-lfs.github.com/spec/v1\noid sha256:${'4d7a'.repeat(16)}\nsize ${sizeBytes}\n`;

/** As PEFT writes it: https://huggingface.co/docs/peft/developer_guides/checkpoint */
const ADAPTER_CONFIG = JSON.stringify({
  base_model_name_or_path: 'acme/base-1b',
  lora_alpha: 16,
  peft_type: 'LORA',
  r: 8,
  target_modules: ['q_proj', 'v_proj'],
  task_type: 'CAUSAL_LM',
});

test('an adapter, and clones without their large files: the card says what it is and what to do, nothing large is fetched', async ({
  app,
  openHub,
}) => {
  const checkpoint = { 'config.json': real('config.json'), 'model.safetensors': real('model.safetensors') };
  const index = JSON.stringify({ weight_map: { 'model.norm.weight': 'model-00001-of-00001.safetensors' } });
  const cases: Record<string, { files: Record<string, ContentSpec>; code: string; says: RegExp[] }> = {
    adapter: {
      files: { 'adapter_config.json': ADAPTER_CONFIG, 'adapter_model.safetensors': LARGE, 'tokenizer.json': LARGE },
      code: 'adapter_repository',
      says: [
        /holds an adapter/u,
        /adapter \(LORA\) of acme\/base-1b\. Load acme\/base-1b instead/u,
        /Load the base model, or/u,
      ],
    },
    ...Object.fromEntries(
      Object.entries({
        'model.safetensors': { ...checkpoint, 'tokenizer.json': LARGE },
        'model-00001-of-00001.safetensors': {
          'config.json': real('config.json'),
          'model.safetensors.index.json': index,
        },
        'model.safetensors.index.json': {
          'config.json': real('config.json'),
          'model-00001-of-00001.safetensors': LARGE,
        },
        'tokenizer.json': { ...checkpoint, 'model.safetensors': LARGE },
        'config.json': { 'model.safetensors': LARGE, 'tokenizer.json': LARGE },
      } satisfies Record<string, Record<string, ContentSpec>>).map(([path, files], at) => [
        `clone-${at}`,
        {
          files: { ...files, [path]: pointer(12_345) },
          code: 'lfs_pointer',
          says: [
            /A Git LFS pointer stands/u,
            new RegExp(`${path} holds the pointer to a file of 12345 bytes`, 'u'),
            /git lfs pull/u,
          ],
        },
      ]),
    ),
  };
  const hub = await openHub(
    Object.fromEntries(Object.entries(cases).map(([name, { files }]) => [`org/${name}`, { main: { files } }])),
  );
  await app.getByLabel('Device', { exact: true }).selectOption('wasm');
  await app.getByText('Hub', { exact: true }).click();
  await app.getByLabel('Endpoint').fill(hub.endpoint);
  for (const [name, { code, says }] of Object.entries(cases)) {
    await app.getByLabel('Model', { exact: true }).fill(`${hub.endpoint}/org/${name}/tree/main`);
    await button(app, name === 'adapter' ? 'Load' : 'Plan only').click();
    const card = app.locator(`[role="alert"][data-code="${code}"]`);
    for (const words of says) await expect(card).toContainText(words);
    await expect(button(app, 'Load')).toBeVisible();
    for (const { url, bytesSent } of hub.requests.entries) expect(bytesSent, url).toBeLessThanOrEqual(SMALL_BYTES);
    hub.requests.clear();
  }
});
