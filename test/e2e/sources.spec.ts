/**
 * Models from a folder on this computer and from a static web address: the same greedy ids as through the hub, nothing
 * copied of a folder, nothing sent to a server but requests for files.
 */
import { createHash } from 'node:crypto';
import { cp, mkdir, mkdtemp, readdir, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import AxeBuilder from '@axe-core/playwright';
import type { Locator, Page } from '@playwright/test';
import type { LoadEvent, LoadReport, ModelSource } from '../../src/index.ts';
import { startStaticServer } from '../unit/sources/static-server.ts';
import type { Habits, StaticServer } from '../unit/sources/static-server.ts';
import { checkpointFolder, expect, readReference, test as base } from './support.ts';

const FOLDER = checkpointFolder('tiny-llama') ?? '';
const SHARD = 'model-00002-of-00002.safetensors';
const IDS = 24;

const test = base.extend<{ serve: (habits?: Partial<Habits>) => Promise<StaticServer> }>({
  // eslint-disable-next-line no-empty-pattern
  serve: async ({}, use) => {
    const servers: StaticServer[] = [];
    await use(async (habits) => {
      const server = await startStaticServer(FOLDER, { cors: 'exposed', ...habits });
      servers.push(server);
      return server;
    });
    await Promise.all(servers.map((server) => server.close()));
  },
});

interface Outcome {
  readonly ids: readonly number[];
  readonly report: LoadReport;
  readonly events: readonly LoadEvent[];
  readonly cachedModels: readonly string[];
}

interface Failed {
  readonly code: string;
  readonly stage: string | null;
  readonly message: string;
  readonly detail: Record<string, unknown>;
}

type Attempt = { readonly done: Outcome } | { readonly failed: Failed };

/** What a page's script needs to load from a source that only exists in the page. */
interface PageTools {
  readonly attempt: (
    source: ModelSource,
    options: { device: 'webgpu' | 'wasm'; endpoint?: string; token?: string; offline?: boolean },
    onEvent?: (event: LoadEvent) => unknown,
  ) => Promise<Attempt>;
}

/** What was dropped on the page last. */
interface Dropped {
  dropped: Promise<FileSystemDirectoryHandle>;
}

/** WICG File System Access, which TypeScript's DOM leaves out. */
interface HandleItem {
  getAsFileSystemHandle(): Promise<FileSystemDirectoryHandle>;
}

/** Puts `window.tools` into the page: load, generate greedily, dispose, tell. */
async function installTools(page: Page): Promise<void> {
  const { reference } = await readReference('tiny-llama');
  await page.evaluate(
    ([prompt, count]) => {
      const attempt: PageTools['attempt'] = async (source, { device, offline, ...hub }, onEvent) => {
        const loader = window.firstlight.createLoader({ hub, bundledBaseUrl: null });
        const events: LoadEvent[] = [];
        try {
          const model = await loader.load(source, {
            device,
            dtype: 'fp32',
            offline: offline ?? false,
            onProgress: (event) => {
              events.push(event);
              onEvent?.(event);
            },
          });
          const ids: number[] = [];
          const options = { do_sample: false, repetition_penalty: 1, max_new_tokens: count };
          for await (const { id } of model.generate(prompt, options)) ids.push(id);
          const cached = await loader.cache.list();
          return { done: { ids, report: model.report, events, cachedModels: cached.map(({ modelId }) => modelId) } };
        } catch (error) {
          if (!window.firstlight.isLoadError(error)) throw error;
          const { code, stage, message, detail } = error;
          return { failed: { code, stage, message, detail } };
        } finally {
          await loader.dispose();
        }
      };
      (window as unknown as { tools: PageTools }).tools = { attempt };
    },
    [reference.greedy.inputIds, IDS] as const,
  );
}

async function expectedIds(): Promise<readonly number[]> {
  const { reference } = await readReference('tiny-llama');
  return reference.greedy.ids.slice(0, IDS);
}

function done(attempt: Attempt): Outcome {
  if ('failed' in attempt)
    throw new Error(`${attempt.failed.code} in ${attempt.failed.stage}: ${attempt.failed.message}`);
  return attempt.done;
}

function failed(attempt: Attempt): Failed {
  if ('done' in attempt) throw new Error('the load should have failed');
  return attempt.failed;
}

/** Copies the checkpoint into a folder of the page's own file system. */
async function fillOpfs(page: Page, folder: string): Promise<void> {
  for (const name of await readdir(FOLDER)) {
    const base64 = (await readFile(join(FOLDER, name))).toString('base64');
    await page.evaluate(
      async ([path, file, content]) => {
        let handle = await navigator.storage.getDirectory();
        for (const part of path.split('/')) handle = await handle.getDirectoryHandle(part, { create: true });
        const writable = await (await handle.getFileHandle(file, { create: true })).createWritable();
        await writable.write(Uint8Array.from(atob(content), (char) => char.charCodeAt(0)));
        await writable.close();
      },
      [folder, name, base64] as const,
    );
  }
}

function fromOpfs(page: Page, folder: string, device: 'webgpu' | 'wasm'): Promise<Attempt> {
  return page.evaluate(
    async ([path, on]) => {
      let handle = await navigator.storage.getDirectory();
      for (const part of path.split('/')) handle = await handle.getDirectoryHandle(part);
      return (window as unknown as { tools: PageTools }).tools.attempt({ folder: handle }, { device: on });
    },
    [folder, device] as const,
  );
}

type DragStep = 'dragEnter' | 'dragOver' | 'drop';

/** Something of the real file system, under a pointer that comes from outside. */
async function startDrag(page: Page, path: string): Promise<(step: DragStep) => Promise<unknown>> {
  const devtools = await page.context().newCDPSession(page);
  const data = { items: [], files: [path], dragOperationsMask: 1 };
  return (type) => devtools.send('Input.dispatchDragEvent', { type, x: 300, y: 300, data });
}

/** As huggingface_hub lays out its cache: https://huggingface.co/docs/huggingface_hub/guides/manage-cache */
async function makeCache(parent: string, kind: 'links' | 'files'): Promise<{ root: string; snapshot: string }> {
  const commit = '1'.repeat(40);
  const root = join(parent, kind, 'models--acme--tiny');
  const [blobs, refs, snapshot] = [join(root, 'blobs'), join(root, 'refs'), join(root, 'snapshots', commit)];
  for (const folder of [blobs, refs, snapshot]) await mkdir(folder, { recursive: true });
  await writeFile(join(refs, 'main'), commit);
  for (const name of await readdir(FOLDER)) {
    const hash = createHash('sha256')
      .update(await readFile(join(FOLDER, name)))
      .digest('hex');
    await cp(join(FOLDER, name), kind === 'links' ? join(blobs, hash) : join(snapshot, name));
    if (kind === 'links') await symlink(`../../blobs/${hash}`, join(snapshot, name));
  }
  return { root, snapshot };
}

function fromAddress(
  page: Page,
  baseUrl: string,
  options: Parameters<PageTools['attempt']>[1] = { device: 'wasm' },
): Promise<Attempt> {
  return page.evaluate(
    ([url, all]) => (window as unknown as { tools: PageTools }).tools.attempt({ baseUrl: url }, all),
    [baseUrl, options] as const,
  );
}

/** Requests that leave the page while `work` runs, its own scripts and runtime left out. */
async function requestsDuring(page: Page, work: () => Promise<unknown>): Promise<string[]> {
  const urls: string[] = [];
  const note = (request: { url(): string }): void => {
    if (!/\.(m?js|wasm)(\?|$)/u.test(request.url())) urls.push(request.url());
  };
  page.context().on('request', note);
  await work();
  page.context().off('request', note);
  return urls.filter((url) => url.startsWith('http'));
}

test.beforeEach(async ({ app }) => {
  await installTools(app);
});

test('through the hub: the ids that every other source must give', async ({ app, openHub }) => {
  const { endpoint } = await openHub({ 'test/model': { main: { directory: FOLDER } } });
  const attempt = await app.evaluate(
    (hub) => (window as unknown as { tools: PageTools }).tools.attempt('test/model', { device: 'wasm', endpoint: hub }),
    endpoint,
  );
  expect(done(attempt).ids).toEqual(await expectedIds());
});

test.describe('a folder on this computer', () => {
  for (const device of ['webgpu', 'wasm'] as const) {
    test(`a directory handle, on ${device}: same ids, nothing fetched, nothing copied${device === 'webgpu' ? ' @long' : ''}`, async ({
      app,
    }) => {
      await fillOpfs(app, 'models/tiny');
      let attempt: Attempt | undefined;
      const urls = await requestsDuring(app, async () => (attempt = await fromOpfs(app, 'models', device)));
      const { ids, report, events, cachedModels } = done(attempt as Attempt);
      expect(ids).toEqual(await expectedIds());
      expect(urls).toEqual([]);
      expect(cachedModels).toEqual([]);
      expect(report).toMatchObject({ modelId: 'models', bytes: { fromNetwork: 0 }, offline: false });
      expect(report.commit).toMatch(/^[0-9a-f]{64}$/u);
      const fetched = events.filter((event) => event.type === 'progress' && event.stage === 'fetch');
      expect(fetched.at(-1)).toMatchObject({ networkBytes: 0, doneBytes: report.bytes.fromCache });
      expect(report.bytes.fromCache).toBeGreaterThan(100_000);
    });
  }

  test('an <input webkitdirectory>', async ({ app }) => {
    await app.evaluate(() => {
      const input = document.createElement('input');
      Object.assign(input, { type: 'file', webkitdirectory: true, id: 'chosen' });
      document.body.append(input);
    });
    await app.locator('#chosen').setInputFiles(FOLDER);
    const attempt = await app.locator('#chosen').evaluate((element) => {
      const { tools } = window as unknown as { tools: PageTools };
      const { files } = element as HTMLInputElement;
      return tools.attempt({ folder: files ?? [] }, { device: 'wasm' });
    });
    expect(done(attempt)).toMatchObject({ ids: await expectedIds(), report: { modelId: 'tiny-llama' } });
  });

  test('file_changed: a real file is written to after the folder was chosen', async ({ app }) => {
    const folder = await mkdtemp(join(tmpdir(), 'firstlight-changed-'));
    try {
      await cp(FOLDER, folder, { recursive: true });
      await app.evaluate(() => {
        const input = document.createElement('input');
        Object.assign(input, { type: 'file', webkitdirectory: true, id: 'chosen' });
        document.body.append(input);
      });
      await app.locator('#chosen').setInputFiles(folder);
      const load = (): Promise<Attempt> =>
        app.locator('#chosen').evaluate((element) => {
          const { tools } = window as unknown as { tools: PageTools };
          return tools.attempt({ folder: (element as HTMLInputElement).files ?? [] }, { device: 'wasm' });
        });
      expect(done(await load()).ids).toEqual(await expectedIds());
      await writeFile(join(folder, SHARD), await readFile(join(FOLDER, SHARD))); // same bytes, later
      expect(failed(await load())).toMatchObject({ code: 'file_changed', stage: 'plan', detail: { path: SHARD } });
    } finally {
      await rm(folder, { recursive: true });
    }
  });

  test('invalid_argument: two models side by side are both named', async ({ app }) => {
    await fillOpfs(app, 'models/a');
    await fillOpfs(app, 'models/b');
    const failure = failed(await fromOpfs(app, 'models', 'wasm'));
    expect(failure).toMatchObject({ code: 'invalid_argument', stage: 'resolve', detail: { roots: ['a', 'b'] } });
  });

  for (const [what, code] of [
    ['written to', 'file_changed'],
    ['removed', 'storage_failed'],
  ] as const) {
    test(`${code}: a file is ${what} while the model loads`, async ({ app }) => {
      await fillOpfs(app, 'tiny');
      const attempt = await app.evaluate(
        async ([shard, action]) => {
          const { tools } = window as unknown as { tools: PageTools };
          const folder = await (await navigator.storage.getDirectory()).getDirectoryHandle('tiny');
          const sizeNow = async (): Promise<number> => (await (await folder.getFileHandle(shard)).getFile()).size;
          let meddling = Promise.resolve();
          const meddle = async (): Promise<void> => {
            if (action === 'removed') return folder.removeEntry(shard);
            const writable = await (await folder.getFileHandle(shard)).createWritable({ keepExistingData: true });
            // Grown: the file system of a private window, which this page is, keeps the time of the first write.
            await writable.write({ type: 'write', position: await sizeNow(), data: new Uint8Array(8) });
            await writable.close();
          };
          const result = await tools.attempt({ folder }, { device: 'webgpu' }, (event) => {
            if (event.type === 'stageEnd' && event.stage === 'resolve') meddling = meddle();
          });
          await meddling;
          return result;
        },
        [SHARD, what] as const,
      );
      expect(failed(attempt)).toMatchObject({ code, detail: { path: SHARD } });
    });
  }
});

test.describe('a static web address', () => {
  const servers: Record<string, Partial<Habits>> = {
    'with ranges': {},
    'without ranges': { ranges: false },
    'that answers a page for whatever is missing': { missing: 'page' },
    'that exposes no header to pages': { cors: 'bare' },
  };
  for (const [name, habits] of Object.entries(servers)) {
    test(`a server ${name}`, async ({ app, serve }) => {
      const server = await serve(habits);
      const first = done(await fromAddress(app, `${server.baseUrl}/`));
      expect(first.ids).toEqual(await expectedIds());
      const { fromNetwork, fromCache } = first.report.bytes;
      expect(fromNetwork).toBeGreaterThan(100_000);
      expect(fromCache).toBe(0);
      expect(first.cachedModels).toEqual([first.report.modelId]);
      expect(first.report.modelId).toBe(server.baseUrl.replace('http://', ''));
    });
  }

  test('the second load fetches no weights; a new version is noticed; without the server, the last one is used', async ({
    app,
    serve,
  }) => {
    const server = await serve();
    const first = done(await fromAddress(app, server.baseUrl));
    server.seen.length = 0;
    const second = done(await fromAddress(app, server.baseUrl));
    expect(second.report).toMatchObject({ commit: first.report.commit, bytes: { fromNetwork: 0 } });
    const weights = server.seen.filter(({ path, range }) => path.endsWith('.safetensors') && range !== 'bytes=0-0');
    expect(weights).toEqual([]);

    server.habits.version = 2;
    const third = done(await fromAddress(app, server.baseUrl));
    expect(third.report.commit).not.toBe(first.report.commit);
    expect(third.report.bytes.fromNetwork).toBeGreaterThan(100_000);

    await server.close();
    const fourth = done(await fromAddress(app, server.baseUrl));
    expect(fourth).toMatchObject({ ids: await expectedIds(), report: { commit: third.report.commit, offline: true } });
  });

  test('the token of the hub is not sent, even to the same host', async ({ app, serve }) => {
    const server = await serve();
    const endpoint = new URL(server.baseUrl).origin;
    done(await fromAddress(app, server.baseUrl, { device: 'wasm', endpoint, token: 'hf_secret' }));
    expect(server.seen.length).toBeGreaterThan(5);
    expect(server.seen.map(({ authorization }) => authorization).filter(Boolean)).toEqual([]);
  });

  test('network_unreachable: a server that forgot CORS is told apart from one that is away', async ({ app, serve }) => {
    const server = await serve({ cors: 'none' });
    const refused = failed(await fromAddress(app, server.baseUrl));
    expect(refused).toMatchObject({ code: 'network_unreachable', stage: 'resolve', detail: { cors: true } });
    await server.close();
    expect(failed(await fromAddress(app, server.baseUrl))).toMatchObject({ code: 'network_unreachable' });
  });

  test('file_not_found and invalid_argument', async ({ app, serve }) => {
    const server = await serve({ missing: 'page' });
    expect(failed(await fromAddress(app, `${server.baseUrl}/nowhere`))).toMatchObject({ code: 'file_not_found' });
    expect(failed(await fromAddress(app, `${server.baseUrl}?x=1`))).toMatchObject({ code: 'invalid_argument' });
  });
});

test.describe('the form', () => {
  const form = (page: Page): Locator => page.getByRole('form', { name: 'Load a model' });
  const pressLoad = (page: Page): Promise<void> =>
    form(page).getByRole('button', { name: 'Load', exact: true }).click();
  const isReady = (page: Page): Promise<void> =>
    expect(page.getByRole('status', { name: 'Load' })).toHaveText('The model is ready.');

  test.beforeEach(async ({ app }) => {
    await form(app).getByLabel('Device').selectOption('wasm');
  });

  const choose = (page: Page, label: string): Promise<void> => page.getByRole('radio', { name: label }).check();

  test('a folder through the file input, by keyboard, to ready', async ({ app }) => {
    await app.getByRole('radio', { name: 'Hub or bundled id' }).focus();
    await app.keyboard.press('ArrowDown');
    await expect(app.getByRole('radio', { name: 'Folder on this computer' })).toBeChecked();
    await pressLoad(app);
    await expect(form(app).getByRole('alert')).toContainText('config.json');
    await expect(app.getByRole('button', { name: 'Choose a folder…' })).toBeFocused();

    await app.locator('input[webkitdirectory]').setInputFiles(FOLDER);
    await expect(app.locator('[data-folder]').getByRole('status')).toHaveText(/^tiny-llama, 5 files, /u);
    await expect(form(app).getByRole('alert')).toHaveCount(0);
    await pressLoad(app);
    await isReady(app);
  });

  test('without showDirectoryPicker, the button opens the file input', async ({ app }) => {
    await app.evaluate(() => Reflect.deleteProperty(window, 'showDirectoryPicker'));
    await choose(app, 'Folder on this computer');
    const chooser = app.waitForEvent('filechooser');
    await app.getByRole('button', { name: 'Choose a folder…' }).press('Enter');
    await (await chooser).setFiles(FOLDER);
    await expect(app.locator('[data-folder]').getByRole('status')).toHaveText(/^tiny-llama, 5 files, /u);
  });

  test('a folder dropped on the page, from the real file system', async ({ app }) => {
    const parent = await mkdtemp(join(tmpdir(), 'firstlight-drop-'));
    try {
      await cp(FOLDER, join(parent, 'dropped-llama'), { recursive: true });
      const drag = await startDrag(app, join(parent, 'dropped-llama'));
      const veil = app.getByText('Drop the model’s folder');

      await drag('dragEnter');
      await drag('dragOver');
      await expect(veil).toBeVisible();
      await drag('drop');
      await expect(veil).toBeHidden();
      await expect(app.locator('[data-folder]').getByRole('status')).toHaveText(/^dropped-llama, 5 files, /u);
      await expect(app.getByRole('radio', { name: 'Folder on this computer' })).toBeChecked();
      await pressLoad(app);
      await isReady(app);
    } finally {
      await rm(parent, { recursive: true });
    }
  });

  test("Hugging Face's cache, from the real file system: Chromium shows no links, and how to go on is said; files in their place load", async ({
    app,
  }) => {
    const parent = await mkdtemp(join(tmpdir(), 'firstlight-cache-'));
    const expected = {
      code: 'file_not_found',
      message: expect.stringMatching(/links.*"hf download .* --local-dir FOLDER"/u) as unknown,
    };
    // The handle that the folder picker would give, by the way that a test can go.
    await app.evaluate(() => {
      addEventListener('drop', (event) => {
        const [item] = event.dataTransfer?.items ?? [];
        (window as unknown as Dropped).dropped = (item as unknown as HandleItem).getAsFileSystemHandle();
      });
      const input = document.createElement('input');
      Object.assign(input, { type: 'file', webkitdirectory: true, id: 'chosen' });
      document.body.append(input);
    });
    const drop = async (folder: string, seen: number): Promise<void> => {
      const drag = await startDrag(app, folder);
      for (const step of ['dragEnter', 'dragOver', 'drop'] as const) await drag(step);
      const status = app.locator('[data-folder]').getByRole('status');
      await expect(status).toHaveText(new RegExp(`^${basename(folder)}, ${seen} files, `, 'u'));
    };
    try {
      const { root, snapshot } = await makeCache(parent, 'links');
      // Five blobs and the branch; and of the folder that the links are in, nothing.
      for (const [folder, reason, seen] of [
        [root, 'cache_of_links', 6],
        [snapshot, 'no_files', 0],
      ] as const) {
        await app.locator('#chosen').setInputFiles(folder);
        await drop(folder, seen);
        const [chosen, handed] = await app.evaluate(async () => {
          const { tools, dropped } = window as unknown as { tools: PageTools } & Dropped;
          const { files } = document.querySelector('#chosen') as HTMLInputElement;
          const sources = [{ folder: files ?? [] }, { folder: await dropped }];
          return Promise.all(sources.map((source) => tools.attempt(source, { device: 'wasm' })));
        });
        for (const attempt of [chosen, handed]) {
          expect(failed(attempt as Attempt)).toMatchObject({ ...expected, detail: { reason } });
        }
        await pressLoad(app);
        const card = app.locator('[data-code="file_not_found"]');
        await expect(card).toContainText(
          reason === 'no_files' ? `no file in "${'1'.repeat(40)}"` : 'hf download acme/tiny',
        );
      }
      await drop((await makeCache(parent, 'files')).root, 6);
      await pressLoad(app);
      await isReady(app);
    } finally {
      await rm(parent, { recursive: true });
    }
  });

  test('the veil goes with the pointer, and shows for files only', async ({ app }) => {
    const veil = app.getByText('Drop the model’s folder');
    const drag = async (type: string, withFile: boolean): Promise<void> => {
      const dataTransfer = await app.evaluateHandle((file) => {
        const data = new DataTransfer();
        if (file) data.items.add(new File(['{}'], 'config.json'));
        else data.setData('text/plain', 'words');
        return data;
      }, withFile);
      await app.dispatchEvent('main', type, { dataTransfer });
    };
    await drag('dragenter', false);
    await expect(veil).toBeHidden();
    await drag('dragenter', true);
    await expect(veil).toBeVisible();
    await drag('dragleave', true);
    await expect(veil).toBeHidden();
  });

  test('a web address', async ({ app, serve }) => {
    const server = await serve();
    await choose(app, 'Web address');
    await pressLoad(app);
    const field = app.getByLabel('Address of the model’s folder');
    await expect(field).toBeFocused();
    await expect(field).toHaveAttribute('aria-invalid', 'true');
    await field.fill(`${server.baseUrl}/`);
    await field.press('Enter');
    await isReady(app);
  });

  for (const label of ['Folder on this computer', 'Web address']) {
    test(`${label}: no accessibility faults`, async ({ app }) => {
      await choose(app, label);
      await pressLoad(app);
      const { violations } = await new AxeBuilder({ page: app }).include('form').analyze();
      expect(violations.map(({ id, nodes }) => `${id}: ${nodes.map(({ html }) => html).join(' ')}`)).toEqual([]);
    });
  }
});
