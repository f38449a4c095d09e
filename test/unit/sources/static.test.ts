/** Stage 1 for static servers, over real HTTP: what is found, how large it is, and what is not believed. */
import { cp, mkdir, mkdtemp, readFile, rename as renameFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { isLoadError, type LoadError, toErrorData } from '../../../src/contract/errors.ts';
import type { Snapshot } from '../../../src/contract/snapshot.ts';
import { resolveStatic } from '../../../src/pipeline/resolve/sources/resolve-static.ts';
import { MemoryRecords } from '../hub/records.ts';
import { type Habits, startStaticServer, type StaticServer } from './static-server.ts';

const FIXTURE = fileURLToPath(new URL('../../fixtures/models/tiny-llama/', import.meta.url));
const SHARDS = ['model-00001-of-00002.safetensors', 'model-00002-of-00002.safetensors'];
const LISTED = ['config.json', 'model.safetensors.index.json', ...SHARDS, 'generation_config.json', 'tokenizer.json'];
let folder: string;
let server: StaticServer;
let records: MemoryRecords;
let notices: string[];

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'firstlight-static-'));
  await cp(FIXTURE, folder, { recursive: true });
  await writeFile(join(folder, 'tokenizer.json'), JSON.stringify({ padding: 'x'.repeat(70_000) }));
  await writeFile(join(folder, 'README.md'), 'not asked for');
  records = new MemoryRecords();
  notices = [];
});
afterEach(async () => {
  await server.close();
  await rm(folder, { recursive: true });
});

async function serve(habits: Partial<Habits> = {}): Promise<void> {
  server = await startStaticServer(folder, habits);
}

function resolve(options: { offline?: boolean; signal?: AbortSignal } = {}): Promise<Snapshot> {
  return resolveStatic(
    { modelId: 'host/the model', baseUrl: server.baseUrl, offline: options.offline ?? false },
    {
      records,
      signal: options.signal,
      onNotice: (message) => notices.push(message),
      retry: { baseDelayMs: 1, maxDelayMs: 2 },
    },
  );
}

async function failure(promise: Promise<unknown>): Promise<LoadError> {
  const error: unknown = await promise.then(
    () => undefined,
    (reason: unknown) => reason,
  );
  if (!isLoadError(error)) throw new Error(`expected a LoadError, got ${String(error)}`);
  expect(error.stage).toBe('resolve');
  return error;
}

async function sizesOnDisk(paths: readonly string[]): Promise<Record<string, number>> {
  const sizes = await Promise.all(paths.map(async (path) => [path, (await stat(join(folder, path))).size] as const));
  return Object.fromEntries(sizes);
}

const sizes = (snapshot: Snapshot): Record<string, number> =>
  Object.fromEntries(snapshot.files.map(({ path, sizeBytes }) => [path, sizeBytes]));

describe('the list is derived, with true sizes', () => {
  const servers: Record<string, Partial<Habits>> = {
    'a server with ranges': {},
    'one without ranges': { ranges: false },
    'one without ranges that compresses text': { ranges: false, gzip: true },
    'one that answers 403 for what is missing': { missing: 403 },
    'one that answers 200 with a page for what is missing': { missing: 'page' },
    'one that does so without ranges': { missing: 'page', ranges: false },
    'one that names no versions': { validators: 'none' },
  };
  for (const [name, habits] of Object.entries(servers)) {
    test(name, async () => {
      await serve(habits);
      const snapshot = await resolve();
      expect(sizes(snapshot)).toEqual(await sizesOnDisk(LISTED));
      expect(snapshot).toMatchObject({ source: 'url', endpoint: server.baseUrl, offline: false });
      expect(snapshot.commit).toMatch(/^[0-9a-f]{64}$/u);
      expect(snapshot.files.every(({ hash }) => hash === null)).toBe(true);
    });
  }

  test('ranges cost one byte a file; whole bodies are only read of the index', async () => {
    await serve();
    await resolve();
    const whole = server.seen.filter(({ range }) => range === null).map(({ path }) => path);
    expect(whole).toEqual(['model.safetensors.index.json']);
    expect(server.seen.filter(({ range }) => range !== null).every(({ range }) => range === 'bytes=0-0')).toBe(true);
  });

  test('a single model.safetensors wins over an index, as in transformers', async () => {
    await cp(join(folder, SHARDS[0] ?? ''), join(folder, 'model.safetensors'));
    await serve();
    const paths = (await resolve()).files.map(({ path }) => path);
    expect(paths).toEqual(['config.json', 'model.safetensors', 'generation_config.json', 'tokenizer.json']);
  });

  test('without tokenizer.json, the files of other tokenizers are looked for', async () => {
    await rm(join(folder, 'tokenizer.json'));
    for (const path of ['tokenizer.model', 'vocab.json', 'additional_chat_templates/tool_use.jinja']) {
      await mkdir(join(folder, dirname(path)), { recursive: true });
      await writeFile(join(folder, path), '{}');
    }
    await serve({ missing: 'page' });
    const found = Object.keys(sizes(await resolve()));
    expect(found).toContain('additional_chat_templates/tool_use.jinja');
    expect(found.slice(-2)).toEqual(['tokenizer.model', 'vocab.json']);
  });

  test('an empty text file has no bytes', async () => {
    await writeFile(join(folder, 'chat_template.jinja'), '');
    await serve();
    expect(sizes(await resolve())['chat_template.jinja']).toBe(0);
  });

  test('a page that passes for JSON is not believed', async () => {
    await serve({ missing: 'page-as-text' });
    // The weights' first byte may be anything: what model.safetensors is not, its header will tell.
    expect(Object.keys(sizes(await resolve()))).not.toContain('tokenizer_config.json');
  });

  test('text of unknown length is counted; weights need a length from HEAD', async () => {
    await serve({ ranges: false, chunked: true });
    const error = await failure(resolve());
    expect(error).toMatchObject({ code: 'range_invalid' });
    expect(error.message).toContain('safetensors');
    server.habits.chunked = false;
    expect(sizes(await resolve())).toEqual(await sizesOnDisk(LISTED));
  });
});

describe('what is not under its usual name', () => {
  const paths = async (): Promise<string[]> => (await resolve()).files.map(({ path }) => path);
  const rename = (from: string, to: string): Promise<void> => renameFile(join(folder, from), join(folder, to));
  const INDEX = 'model.safetensors.index.json';

  test('a set of shards whose index is lost is found by its first shard', async () => {
    await rm(join(folder, INDEX));
    await serve();
    expect(await paths()).toEqual(['config.json', ...SHARDS, 'generation_config.json', 'tokenizer.json']);
  });

  test('of an incomplete set the plan names what is missing', async () => {
    await rm(join(folder, INDEX));
    await rm(join(folder, SHARDS[1] ?? ''));
    await serve();
    const found = await paths();
    expect(found).toContain(SHARDS[0]);
    expect(found).not.toContain(SHARDS[1]);
  });

  test('a complete set stands in for one that an old index names', async () => {
    const index = { weight_map: { a: 'model-00001-of-00003.safetensors', b: 'model-00002-of-00003.safetensors' } };
    await writeFile(join(folder, INDEX), JSON.stringify(index));
    await serve();
    expect(await paths()).toEqual(expect.arrayContaining([INDEX, ...SHARDS]));
  });

  test('a variant is taken where nothing else is there', async () => {
    await rm(join(folder, INDEX));
    await rename(SHARDS[0] ?? '', 'model.fp16.safetensors');
    await rm(join(folder, SHARDS[1] ?? ''));
    await serve();
    expect(await paths()).toContain('model.fp16.safetensors');
  });

  test('an adapter, a pipeline and weights of another format are found, so that the plan can name them', async () => {
    for (const file of [INDEX, ...SHARDS]) await rm(join(folder, file));
    await writeFile(join(folder, 'pytorch_model.bin'), 'x');
    await serve();
    expect(await paths()).toContain('pytorch_model.bin');
    await rename('config.json', 'adapter_config.json');
    expect(await paths()).toEqual(['adapter_config.json']);
    await rename('adapter_config.json', 'model_index.json');
    expect(await paths()).toEqual(['model_index.json']);
  });
});

describe('versions', () => {
  test('the same files are the same commit; a new ETag is another commit and other blobs', async () => {
    await serve();
    const first = await resolve();
    expect((await resolve()).commit).toBe(first.commit);
    server.habits.version = 2;
    const second = await resolve();
    expect(second.commit).not.toBe(first.commit);
    expect(second.files.map(({ url }) => url)).not.toEqual(first.files.map(({ url }) => url));
    // The fragment is the version; what goes over the line is the plain address.
    expect(new URL(second.files[0]?.url ?? '').pathname).toBe('/models/the%20model/config.json');
  });

  test('Last-Modified serves where there is no ETag', async () => {
    await serve({ validators: 'last-modified' });
    const { commit } = await resolve();
    await new Promise((passed) => setTimeout(passed, 1_100)); // HTTP dates have seconds
    await writeFile(join(folder, 'config.json'), await readFile(join(folder, 'config.json')));
    expect((await resolve()).commit).not.toBe(commit);
    expect(notices).toEqual([]);
  });

  test('without either, the report says what that means', async () => {
    await serve({ validators: 'none' });
    await resolve();
    expect(notices.join()).toContain('goes unnoticed');
  });
});

describe('typed errors', () => {
  test('file_not_found: no config.json, however the server puts it', async () => {
    await rm(join(folder, 'config.json'));
    await serve();
    for (const missing of [404, 'page', 'page-as-text'] as const) {
      server.habits.missing = missing;
      const error = await failure(resolve());
      expect(error).toMatchObject({ code: 'file_not_found', retryable: false });
      expect(error.message).toContain('config.json');
    }
    server.habits.missing = 403;
    expect(await failure(resolve())).toMatchObject({ code: 'http_status', detail: { status: 403 } });
  });

  test('file_not_found: a server that answers every address with a page', async () => {
    await rm(folder, { recursive: true });
    folder = await mkdtemp(join(tmpdir(), 'firstlight-static-'));
    await serve({ missing: 'page', ranges: false });
    expect(await failure(resolve())).toMatchObject({ code: 'file_not_found' });
  });

  test('no_safetensors', async () => {
    for (const file of ['model.safetensors.index.json', ...SHARDS]) await rm(join(folder, file));
    await serve({ missing: 'page' });
    expect(await failure(resolve())).toMatchObject({ code: 'no_safetensors' });
  });

  test('file_not_found: every shard that the index names in vain', async () => {
    for (const shard of SHARDS) await rm(join(folder, shard));
    await serve();
    expect(await failure(resolve())).toMatchObject({ code: 'file_not_found', detail: { files: SHARDS } });
  });

  test('safetensors_invalid: an index that leads out of the folder is refused unasked', async () => {
    const index = { weight_map: { 'a.weight': '../../secret.safetensors' } };
    await writeFile(join(folder, 'model.safetensors.index.json'), JSON.stringify(index));
    await serve();
    expect(await failure(resolve())).toMatchObject({ code: 'safetensors_invalid', detail: { reason: 'index_path' } });
    expect(server.seen.some(({ path }) => path.includes('secret'))).toBe(false);
  });

  test('http_status: 401 at once, 503 after some attempts', async () => {
    await serve({ status: 401 });
    expect(await failure(resolve())).toMatchObject({ code: 'http_status', retryable: false });
    expect(server.seen.length).toBe(1);
    server.habits.status = 503;
    expect(await failure(resolve())).toMatchObject({ code: 'http_status', retryable: true, detail: { status: 503 } });
    expect(server.seen.length).toBe(5);
  });

  test('rate_limited: a server that says nothing of when to come back is asked for longer, then given up', async () => {
    await serve({ status: 429 });
    const error = await failure(resolve());
    expect(error).toMatchObject({ code: 'rate_limited', retryable: true, detail: { status: 429 } });
    expect(server.seen.length).toBeGreaterThan(5);
  });

  test('network_unreachable, and aborted', async () => {
    await serve();
    const controller = new AbortController();
    controller.abort();
    expect(await failure(resolve({ signal: controller.signal }))).toMatchObject({ code: 'aborted' });
    expect(server.seen).toEqual([]);
    await server.close();
    expect(await failure(resolve())).toMatchObject({ code: 'network_unreachable', retryable: true });
  });
});

describe('offline', () => {
  test('the last known snapshot stands in, and says so', async () => {
    await serve();
    const online = await resolve();
    expect(await resolve({ offline: true })).toMatchObject({ commit: online.commit, offline: true });
    await server.close();
    expect(await resolve()).toMatchObject({ commit: online.commit, offline: true, files: online.files });
    expect(notices.join()).toContain('last known');
  });

  test('not_cached where nothing is known and asking is forbidden', async () => {
    await serve();
    expect(await failure(resolve({ offline: true }))).toMatchObject({ code: 'not_cached' });
    expect(server.seen).toEqual([]);
  });

  test('a server that says no is believed, whatever was known', async () => {
    await serve();
    await resolve();
    await rm(join(folder, 'config.json'));
    expect(await failure(resolve())).toMatchObject({ code: 'file_not_found' });
  });
});

test.each([401, 403, 500])('the signature of an address behind a redirect is never told: %d', async (status) => {
  await serve({ signed: true });
  expect((await resolve()).files.length).toBe(LISTED.length);
  server.habits.status = status;
  records = new MemoryRecords();
  const error = await failure(resolve());
  expect(error.message).toContain('/config.json');
  expect(JSON.stringify([toErrorData(error), notices])).not.toContain('secret');
});

test('no authorization is ever sent', async () => {
  await serve();
  await resolve();
  expect(server.seen.every(({ authorization }) => authorization === null)).toBe(true);
});
