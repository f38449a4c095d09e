/** Folders read in place, over real files: Node's file-backed blobs refuse to be read once the file changed, as browsers' do. */
import { openAsBlob } from 'node:fs';
import { cp, mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { openFolder } from '../../../src/client/local-folder.ts';
import { toNamedOrigin } from '../../../src/client/model-source.ts';
import { DEFAULT_ENDPOINT } from '../../../src/contract/model-name.ts';
import { isLoadError, type LoadError } from '../../../src/contract/errors.ts';
import { type LocalFile, MAX_FOLDER_FILES } from '../../../src/contract/snapshot.ts';
import { planLoad } from '../../../src/pipeline/plan/plan.ts';
import { LocalFiles } from '../../../src/pipeline/resolve/sources/local-files.ts';
import { openLocalFolder } from '../../../src/pipeline/resolve/sources/local-folder.ts';
import { usualStorage } from '../../../src/pipeline/resolve/storage.ts';

const FIXTURE = fileURLToPath(new URL('../../fixtures/models/tiny-llama/', import.meta.url));
const SHARD = 'model-00001-of-00002.safetensors';
const signal = new AbortController().signal;
let folder: string;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'firstlight-folder-'));
  await cp(FIXTURE, folder, { recursive: true });
});
afterEach(() => rm(folder, { recursive: true }));

async function openAsFile(path: string): Promise<File> {
  const { mtimeMs } = await stat(path);
  return new File([await openAsBlob(path)], path, { lastModified: Math.floor(mtimeMs) });
}

async function listFiles(prefix = ''): Promise<LocalFile[]> {
  const names = await readdir(folder);
  return Promise.all(
    names.map(async (name) => ({ path: `${prefix}${name}`, file: await openAsFile(join(folder, name)) })),
  );
}

async function failure(promise: Promise<unknown>): Promise<LoadError> {
  const error: unknown = await promise.then(
    () => undefined,
    (reason: unknown) => reason,
  );
  if (!isLoadError(error)) throw new Error(`expected a LoadError, got ${String(error)}`);
  return error;
}

describe('what a page hands over', () => {
  test('the chosen folder gives the name and leaves the paths', async () => {
    const opened = await openFolder({ folder: await listFiles('tiny-llama/') });
    expect(opened.name).toBe('tiny-llama');
    expect((opened.folder as LocalFile[]).map(({ path }) => path).sort()).toEqual((await readdir(folder)).sort());
    expect((await openFolder({ folder: await listFiles('tiny-llama/'), name: 'mine' })).name).toBe('mine');
  });

  test('loose files lie in one folder; hidden ones are left out, unless the chosen folder itself is', async () => {
    const file = new File(['{}'], 'config.json');
    const loose = await openFolder({ folder: [file, { path: '.git/config.json', file }] });
    expect(loose).toMatchObject({ name: 'local files', folder: [{ path: 'config.json' }] });
    const hidden = await openFolder({ folder: [{ path: '.cache/config.json', file }] });
    expect(hidden).toMatchObject({ name: '.cache', folder: [{ path: 'config.json' }] });
  });

  test('invalid_argument: a folder too big to be a model', async () => {
    const file = new File([], 'x');
    const many = Array.from({ length: MAX_FOLDER_FILES + 1 }, (_, index) => ({ path: `${index}`, file }));
    expect(await failure(openFolder({ folder: many }))).toMatchObject({ code: 'invalid_argument' });
  });

  test('addresses are absolute, bare, and never repeated in an error', async () => {
    const origin = (baseUrl: string) =>
      toNamedOrigin(
        { baseUrl },
        { revision: undefined, endpoint: DEFAULT_ENDPOINT, pageUrl: 'https://page.example/app/' },
      );
    expect(await origin('https://host.example/a/b//')).toEqual({
      modelId: 'host.example/a/b',
      revision: 'main',
      origin: { type: 'url', baseUrl: 'https://host.example/a/b' },
    });
    expect((await origin('models/tiny')).origin).toEqual({
      type: 'url',
      baseUrl: 'https://page.example/app/models/tiny',
    });
    for (const bad of [
      'ftp://host/secret',
      'https://me:secret@host/',
      'https://host/?sig=secret',
      'https://h/#secret',
    ]) {
      const error = await failure(origin(bad));
      expect(error).toMatchObject({ code: 'invalid_argument' });
      expect(error.message).not.toContain('secret');
    }
  });
});

describe('a folder as a repository', () => {
  test('a snapshot without hashes; the commit follows names, sizes and times, not the order', async () => {
    const files = await listFiles();
    const { snapshot } = await openLocalFolder('tiny', files, signal);
    expect(snapshot).toMatchObject({ modelId: 'tiny', source: 'folder', endpoint: '', offline: false });
    for (const { path, sizeBytes, hash } of snapshot.files) {
      expect([hash, sizeBytes]).toEqual([null, (await stat(join(folder, path))).size]);
    }
    expect((await openLocalFolder('tiny', [...files].reverse(), signal)).snapshot.commit).toBe(snapshot.commit);
    const [first, ...rest] = files as [LocalFile, ...LocalFile[]];
    const touched = new File([await first.file.arrayBuffer()], first.path, { lastModified: 1 });
    const changed = await openLocalFolder('tiny', [{ path: first.path, file: touched }, ...rest], signal);
    expect(changed.snapshot.commit).not.toBe(snapshot.commit);
  });

  test('a model in a sub-folder is addressed from its own root', async () => {
    const { snapshot, files } = await openLocalFolder('all', await listFiles('acme/tiny/'), signal);
    expect(snapshot.files.map(({ path }) => path)).toContain('config.json');
    expect(await files.readAll('config.json')).toEqual(new Uint8Array(await readFile(join(folder, 'config.json'))));
  });

  test('the plan is the same as for any other source, and all of it is here already', async () => {
    const { snapshot, files } = await openLocalFolder('tiny', await listFiles(), signal);
    const plan = await planLoad({
      snapshot,
      request: { dtype: 'fp32', device: 'wasm', contextTokens: null },
      adapter: null,
      readAll: (path) => files.readAll(path),
      readRange: (path, start, end) => files.readRange(path, start, end),
      lookAtStorage: async ({ weightFiles }) => ({
        storage: usualStorage(snapshot),
        statuses: await files.status(weightFiles.map(({ path }) => path)),
      }),
    });
    expect(plan.spec.modelType).toBe('llama');
    expect(plan.costs.cachedBytes).toBe(plan.costs.downloadBytes);
    const paths = plan.weightFiles.map(({ path }) => path);
    const progress: unknown[] = [];
    const summary = await files.download(paths, { onProgress: (step) => progress.push(step) });
    const totalBytes = plan.costs.downloadBytes;
    expect(summary).toMatchObject({ totalBytes, networkBytes: 0, cachedBytes: totalBytes, restarted: [] });
    expect(progress).toEqual([{ doneBytes: totalBytes, totalBytes, networkBytes: 0 }]);
  });

  test('ranges are exact, the file itself is given, and what is not there is said', async () => {
    const { files } = await openLocalFolder('tiny', await listFiles(), signal);
    const bytes = await readFile(join(folder, SHARD));
    expect(await files.readRange(SHARD, 100, 1_000)).toEqual(new Uint8Array(bytes.subarray(100, 1_000)));
    expect(await files.waitRange(SHARD, { start: 8, end: 8 })).toEqual(new Uint8Array());
    expect((await files.openBlob(SHARD)).sizeBytes).toBe(bytes.length);
    expect(await failure(files.readRange(SHARD, 0, bytes.length + 1))).toMatchObject({ code: 'invalid_argument' });
    expect(await failure(files.readAll('nothing'))).toMatchObject({ code: 'file_not_found' });
  });

  test('cancel and close end what is read', async () => {
    const { files } = await openLocalFolder('tiny', await listFiles(), signal);
    const controller = new AbortController();
    const reading = failure(files.readAll(SHARD, { signal: controller.signal }));
    controller.abort();
    expect(await reading).toMatchObject({ code: 'aborted' });
    await files.close();
    expect(await failure(files.readAll(SHARD))).toMatchObject({ code: 'aborted' });
    expect(await failure(files.download([SHARD]))).toMatchObject({ code: 'aborted' });
  });
});

describe('files that do not hold still', () => {
  test('file_changed: written to after it was chosen', async () => {
    const { files } = await openLocalFolder('tiny', await listFiles(), signal);
    await writeFile(join(folder, SHARD), 'something else');
    const error = await failure(files.readRange(SHARD, 0, 100));
    expect(error).toMatchObject({ code: 'file_changed', retryable: false, detail: { path: SHARD } });
    expect(await failure(files.openBlob(SHARD))).toMatchObject({ code: 'file_changed' });
  });

  test('a handle tells change, loss and refusal apart', async () => {
    const path = join(folder, SHARD);
    const file = await openAsFile(path);
    const refused = (name: string) => () => Promise.reject(new DOMException('no', name));
    const codeWith = async (reopen: () => Promise<File>) => {
      const { code, detail } = await failure(new LocalFiles(new Map([['x', { file, reopen }]])).readAll('x'));
      return { code, reason: detail['reason'] };
    };
    await writeFile(path, 'something else');
    expect(await codeWith(() => openAsFile(path))).toMatchObject({ code: 'file_changed' });
    expect(await codeWith(refused('NotFoundError'))).toEqual({ code: 'storage_failed', reason: 'gone' });
    expect(await codeWith(refused('NotAllowedError'))).toEqual({ code: 'storage_failed', reason: 'permission_denied' });
    expect(await codeWith(() => Promise.resolve(file))).toEqual({ code: 'storage_failed', reason: 'unreadable' });
  });

  test('a handle notices a change that the platform does not', async () => {
    const then = new File(['bytes'], 'x', { lastModified: 1 });
    const now = new File(['bytes'], 'x', { lastModified: 2 });
    const files = new LocalFiles(new Map([['x', { file: then, reopen: () => Promise.resolve(now) }]]));
    expect(await failure(files.readAll('x'))).toMatchObject({ code: 'file_changed', retryable: true });
  });
});
