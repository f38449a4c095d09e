/** Stage 1 for models that come with the page. */
import { execFile } from 'node:child_process';
import { cp, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { listBundledModels } from '../../../src/hub/bundled-index.ts';
import { failure, hub, resolve, useHub } from './resolve-support.ts';

useHub();

describe('bundled models', () => {
  let root: string;
  let page: Server;
  let baseUrl: string;
  let requests: string[] = [];

  beforeAll(async () => {
    root = await mkdtemp(join(tmpdir(), 'bundled-'));
    await mkdir(join(root, 'models/firstlight/toy/sub'), { recursive: true });
    await writeFile(join(root, 'models/firstlight/toy/config.json'), '{"model_type":"llama"}');
    await writeFile(join(root, 'models/firstlight/toy/sub/a b.txt'), 'text');
    await writeIndex();
    page = createServer((request, response) => {
      requests.push(request.url ?? '');
      import('node:fs/promises')
        .then(({ readFile }) => readFile(join(root, decodeURIComponent((request.url ?? '').replace('/app/', '')))))
        .then((bytes) => response.writeHead(200, { 'Content-Type': 'application/json' }).end(bytes))
        // As a server of a single-page app does.
        .catch(() => response.writeHead(200, { 'Content-Type': 'text/html' }).end('<!doctype html>'));
    });
    await new Promise<void>((ready) => page.listen(0, '127.0.0.1', ready));
    baseUrl = `http://127.0.0.1:${(page.address() as AddressInfo).port}/app/`;
  });
  afterAll(async () => {
    await new Promise((ready) => page.close(ready));
    await rm(root, { recursive: true });
  });
  beforeEach(() => {
    requests = [];
  });

  const writeIndex = (...more: string[]) =>
    promisify(execFile)(process.execPath, ['scripts/write-model-index.mjs', '--root', join(root, 'models'), ...more]);

  test('come before the hub; files have a sha256 and lie beside the page', async () => {
    const snapshot = await resolve({ modelId: 'firstlight/toy' }, { bundledBaseUrl: baseUrl });
    expect(snapshot).toMatchObject({ source: 'bundled', endpoint: baseUrl.slice(0, -1), offline: false });
    expect(snapshot.commit).toMatch(/^[0-9a-f]{64}$/);
    expect(snapshot.files.map((file) => [file.path, file.sizeBytes, file.hash?.algorithm])).toEqual([
      ['config.json', 22, 'sha256'],
      ['sub/a b.txt', 4, 'sha256'],
    ]);
    expect(await (await fetch(snapshot.files[1]?.url ?? '')).text()).toBe('text');
    expect(hub.requests.entries).toHaveLength(0);
  });

  test('are listed with their sizes; a page without an index has none', async () => {
    expect(await listBundledModels(baseUrl)).toEqual([{ modelId: 'firstlight/toy', sizeBytes: 26 }]);
    expect(await listBundledModels(`${baseUrl}nowhere/`)).toEqual([]);
  });

  test('what is not bundled comes from the hub, with and without an index', async () => {
    expect((await resolve({ modelId: 'acme/tiny' }, { bundledBaseUrl: baseUrl })).source).toBe('hub');
    expect((await resolve({ modelId: 'acme/tiny' }, { bundledBaseUrl: `${baseUrl}nowhere` })).source).toBe('hub');
    expect((await resolve({ modelId: 'acme/tiny' }, { bundledBaseUrl: 'http://127.0.0.1:1' })).source).toBe('hub');
    const error = await failure(resolve({ modelId: 'firstlight/toy', revision: 'v2' }, { bundledBaseUrl: baseUrl }));
    expect(error.code).toBe('repository_not_found');
  });

  test('offline: known without the index; a known commit asks for nothing', async () => {
    const first = await resolve({ modelId: 'firstlight/toy' }, { bundledBaseUrl: baseUrl });
    const dead = (): Promise<Response> => Promise.reject(new TypeError('Failed to fetch'));
    const offline = await resolve({ modelId: 'firstlight/toy' }, { bundledBaseUrl: baseUrl, fetch: dead });
    expect(offline).toEqual({ ...first, offline: true });
    requests = [];
    expect(await resolve({ modelId: 'firstlight/toy', offline: true }, { bundledBaseUrl: baseUrl })).toEqual(offline);
    const pinned = await resolve({ modelId: 'firstlight/toy', revision: first.commit }, { bundledBaseUrl: baseUrl });
    expect(pinned).toMatchObject({ commit: first.commit, offline: false });
    expect(requests).toEqual([]);
  });

  const serveIndex = async (text: string): Promise<string> => {
    await mkdir(join(root, 'other/models'), { recursive: true });
    await writeFile(join(root, 'other/models/index.json'), text);
    return `${baseUrl}other`;
  };

  test.each([
    ['no JSON', '{'],
    ['a list', '[{"name":"acme/tiny"}]'],
    ['no models', '{}'],
    ['a list of models', '{"models":[{"id":"acme/tiny"}]}'],
    ['models without commits', '{"models":{"acme/tiny":{"files":[]}}}'],
    ['models without files', `{"models":{"acme/tiny":{"commit":"${'0'.repeat(64)}"}}}`],
    ['models that are words', '{"models":{"acme/tiny":"llama"}}'],
    ['more than an index could have', `"${'x'.repeat(5 * 1024 * 1024)}"`],
  ])("another program's models/index.json counts as none: %s", async (_, text) => {
    const bundledBaseUrl = await serveIndex(text);
    expect((await resolve({ modelId: 'acme/tiny' }, { bundledBaseUrl })).source).toBe('hub');
    expect(await listBundledModels(bundledBaseUrl)).toEqual([]);
  });

  test.each([
    ['a parent', { path: '../x', sizeBytes: 1, sha256: '0'.repeat(64) }],
    ['no size', { path: 'x', sha256: '0'.repeat(64) }],
    ['no hash', { path: 'x', sizeBytes: 1 }],
    ['no object', 'x'],
  ])('listing_invalid: an index of ours whose model has a file with %s', async (_, file) => {
    const models = { 'a/b': { commit: '0'.repeat(64), files: [file] } };
    const bundledBaseUrl = await serveIndex(JSON.stringify({ models }));
    const error = await failure(resolve({ modelId: 'a/b' }, { bundledBaseUrl }));
    expect(error.code).toBe('listing_invalid');
  });

  test('the index script notices a changed file, and the commit changes with it', async () => {
    await writeIndex('--check');
    const before = await resolve({ modelId: 'firstlight/toy' }, { bundledBaseUrl: baseUrl });
    await cp(join(root, 'models/firstlight/toy/config.json'), join(root, 'models/firstlight/toy/new.json'));
    await expect(writeIndex('--check')).rejects.toThrow('out of date');
    await writeIndex();
    await writeIndex('--check');
    const after = await resolve({ modelId: 'firstlight/toy' }, { bundledBaseUrl: baseUrl });
    expect(after.commit).not.toBe(before.commit);
  });
});
