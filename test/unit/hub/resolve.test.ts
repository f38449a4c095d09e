/** Stage 1 against the local hub, over real HTTP. */
import { execFile } from 'node:child_process';
import { cp, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { isLoadError, type LoadError, toErrorData } from '../../../src/contract/errors.ts';
import { listBundledModels } from '../../../src/hub/bundled-index.ts';
import { requestHub } from '../../../src/hub/request.ts';
import { resolveSnapshot, type ResolveDeps, type ResolveRequest } from '../../../src/pipeline/resolve.ts';
import { type Hub, startHub } from '../../hub/index.ts';
import { MemoryRecords } from './records.ts';

const TOKEN = 'hf_secretsecret';
const OTHER_TOKEN = 'hf_otherother';
const files = { 'config.json': '{}', 'model.safetensors': new Uint8Array(100), 'a b/ü#?%.txt': 'x' };
let hub: Hub;
let records: MemoryRecords;

beforeAll(async () => {
  hub = await startHub({
    repositories: {
      'acme/tiny': { main: { files }, revisions: { 'refs/pr/1': { files: { 'config.json': '{"pr":1}' } } } },
      'acme/gated': { main: { files }, gated: 'manual', tokens: [TOKEN] },
      'acme/private': { main: { files }, private: true, tokens: [TOKEN] },
      'acme/other': { main: { files }, private: true, tokens: [OTHER_TOKEN] },
      'acme/disabled': { main: { files }, disabled: true },
      'acme/many': {
        main: { files: Object.fromEntries(Array.from({ length: 25 }, (_, n) => [`file-${n}.txt`, `${n}`])) },
      },
      gpt2: { main: { files: {} }, renamedTo: 'acme/tiny' },
    },
    pageSize: 4,
  });
});
afterAll(() => hub.close());
beforeEach(() => {
  records = new MemoryRecords();
});
afterEach(() => {
  hub.behave();
  hub.requests.clear();
});

const quick = { baseDelayMs: 1, maxDelayMs: 2 };
const resolve = (
  request: Partial<ResolveRequest> & { modelId: string },
  deps: Partial<ResolveDeps> & { token?: string } = {},
) =>
  resolveSnapshot(
    { revision: 'main', offline: false, ...request },
    {
      hub: { endpoint: hub.endpoint, token: deps.token ?? null },
      bundledBaseUrl: null,
      records,
      retry: quick,
      ...deps,
    },
  );
const failure = async (promise: Promise<unknown>): Promise<LoadError> => {
  const error: unknown = await promise.then(
    () => undefined,
    (reason: unknown) => reason,
  );
  if (!isLoadError(error)) throw new Error(`expected a LoadError, got ${String(error)}`);
  expect(error.stage).toBe('resolve');
  expect(JSON.stringify(toErrorData(error))).not.toMatch(/hf_\w/);
  return error;
};

describe('snapshots', () => {
  test('a branch is pinned to its commit; files carry size, hash and a URL by commit', async () => {
    const commit = hub.commitOf('acme/tiny');
    const snapshot = await resolve({ modelId: 'acme/tiny' });
    expect(snapshot).toMatchObject({
      modelId: 'acme/tiny',
      source: 'hub',
      endpoint: hub.endpoint,
      revision: 'main',
      commit: commit.sha,
      offline: false,
    });
    expect(snapshot.files.map((file) => file.path)).toEqual(['a b/ü#?%.txt', 'config.json', 'model.safetensors']);
    for (const file of snapshot.files) {
      const served = commit.files.get(file.path);
      const hash = served?.lfs === true ? served.sha256 : served?.oid;
      expect(file.hash).toEqual({ algorithm: served?.lfs === true ? 'sha256' : 'git-sha1', hex: hash });
      expect(file.url).toContain(`/resolve/${commit.sha}/`);
      const bytes = await (await fetch(file.url)).arrayBuffer();
      expect(bytes.byteLength).toBe(file.sizeBytes);
    }
    expect(records.writes).toEqual([`snapshot ${commit.sha}`, 'ref main']);
  });

  test('URLs go on giving the same bytes after the branch moved', async () => {
    await hub.addRepository('acme/moving', { main: { files: { 'config.json': 'old' } } });
    const before = await resolve({ modelId: 'acme/moving' });
    await hub.push('acme/moving', 'main', { files: { 'config.json': 'new' } });
    const after = await resolve({ modelId: 'acme/moving' });
    expect(after.commit).not.toBe(before.commit);
    expect(await (await fetch(before.files[0]?.url ?? '')).text()).toBe('old');
    expect(await (await fetch(after.files[0]?.url ?? '')).text()).toBe('new');
  });

  test('refs with slashes, bare names, trailing slashes of the endpoint', async () => {
    const pr = await resolve({ modelId: 'acme/tiny', revision: 'refs/pr/1' });
    expect(pr.commit).toBe(hub.commitOf('acme/tiny', 'refs/pr/1').sha);
    const alias = await resolve({ modelId: 'gpt2' }, { hub: { endpoint: `${hub.endpoint}//` } });
    expect(alias).toMatchObject({ modelId: 'gpt2', endpoint: hub.endpoint });
    expect(alias.files[0]?.url).toContain('/acme/tiny/resolve/');
  });

  test('pages are followed', async () => {
    const snapshot = await resolve({ modelId: 'acme/many' });
    expect(snapshot.files).toHaveLength(25);
    expect(hub.requests.find({ kind: 'api' })).toHaveLength(1 + 7);
  });

  test('an unmoved branch costs one request, a known commit none', async () => {
    const first = await resolve({ modelId: 'acme/many' });
    hub.requests.clear();
    const second = await resolve({ modelId: 'acme/many' });
    expect(second).toEqual({ ...first, resolvedAtMs: second.resolvedAtMs });
    expect(hub.requests.entries).toHaveLength(1);
    hub.requests.clear();
    const pinned = await resolve({ modelId: 'acme/many', revision: first.commit });
    expect(pinned).toMatchObject({ commit: first.commit, revision: first.commit, files: first.files });
    expect(hub.requests.entries).toHaveLength(0);
  });

  test('a commit that is not known yet is asked for', async () => {
    const commit = hub.commitOf('acme/tiny').sha;
    expect(await resolve({ modelId: 'acme/tiny', revision: commit })).toMatchObject({ commit, revision: commit });
  });
});

describe('one error per cause', () => {
  test.each(['', 'a/b/c', '../x', 'a/..', 'a b', 'org/-x', 'org/x.', 'a//b', 'https://x/y', 'a/b?c', 'x'.repeat(97)])(
    'invalid_argument: model id %j',
    async (modelId) => {
      const error = await failure(resolve({ modelId }));
      expect([error.code, error.detail['argument']]).toEqual(['invalid_argument', 'modelId']);
      expect(hub.requests.entries).toHaveLength(0);
    },
  );

  test.each(['', 'a..b', 'a b', '/main', 'main/', 'x\u0000', 'a^b', '..'])(
    'invalid_argument: revision %j',
    async (revision) => {
      expect(await failure(resolve({ modelId: 'acme/tiny', revision }))).toMatchObject({
        code: 'invalid_argument',
        detail: { argument: 'revision' },
      });
    },
  );

  test.each(['ftp://x', 'nonsense', 'https://me:hf_pass@hub.example', 'https://hub.example/?a=1'])(
    'invalid_argument: endpoint %s',
    async (endpoint) => {
      const error = await failure(resolve({ modelId: 'acme/tiny' }, { hub: { endpoint } }));
      expect([error.code, error.detail['argument']]).toEqual(['invalid_argument', 'endpoint']);
    },
  );

  test('invalid_argument: a token with a line break, not repeated', async () => {
    const error = await failure(resolve({ modelId: 'acme/tiny' }, { token: 'hf_ab\ncd' }));
    expect([error.code, error.detail['argument']]).toEqual(['invalid_argument', 'token']);
  });

  test('repository_not_found: missing, with and without a token; private without one; disabled', async () => {
    for (const [modelId, token] of [
      ['acme/missing', undefined],
      ['acme/missing', TOKEN],
      ['acme/private', undefined],
      ['acme/other', TOKEN],
      ['acme/disabled', undefined],
    ] as const) {
      const error = await failure(resolve({ modelId }, token === undefined ? {} : { token }));
      expect([modelId, error.code, error.retryable]).toEqual([modelId, 'repository_not_found', false]);
      expect(error.message).toContain(modelId);
    }
  });

  test('repository_gated: without a token, and with one that has no access', async () => {
    for (const token of [undefined, OTHER_TOKEN]) {
      const error = await failure(resolve({ modelId: 'acme/gated' }, token === undefined ? {} : { token }));
      expect(error.code).toBe('repository_gated');
      expect(error.message).toContain(`${hub.endpoint}/acme/gated`);
    }
    expect((await resolve({ modelId: 'acme/gated' }, { token: TOKEN })).files).toHaveLength(3);
    expect((await resolve({ modelId: 'acme/private' }, { token: TOKEN })).files).toHaveLength(3);
  });

  test('repository_gated: a mirror without auth-check lists it; its files will tell', async () => {
    hub.misbehave({ path: 'auth-check', fault: { type: 'status', status: 404, body: 'Not Found' }, times: Infinity });
    expect((await resolve({ modelId: 'acme/gated' })).files).toHaveLength(3);
  });

  test('unauthorized: a token that nobody issued', async () => {
    const error = await failure(resolve({ modelId: 'acme/tiny' }, { token: 'hf_unknown' }));
    expect([error.code, error.detail['status']]).toEqual(['unauthorized', 401]);
  });

  test('revision_not_found, by the header and, where it cannot be read, by the words of the body', async () => {
    const error = await failure(resolve({ modelId: 'acme/tiny', revision: 'nope' }));
    expect([error.code, error.message.includes('"nope"')]).toEqual(['revision_not_found', true]);
    hub.misbehave({ kinds: ['api'], fault: { type: 'json', status: 404, body: { error: 'Invalid rev id: nope' } } });
    expect((await failure(resolve({ modelId: 'acme/tiny', revision: 'nope' }))).code).toBe('revision_not_found');
  });

  test('http_status: 404 words of no hub, 418; not repeated', async () => {
    hub.misbehave({ kinds: ['api'], fault: { type: 'status', status: 418 } });
    const error = await failure(resolve({ modelId: 'acme/tiny' }));
    expect([error.code, error.retryable, error.detail['status']]).toEqual(['http_status', false, 418]);
    expect(hub.requests.entries).toHaveLength(1);
  });

  test('http_status: 503 is repeated and passes; for good it fails after the last attempt', async () => {
    const rule = hub.misbehave({ kinds: ['api'], fault: { type: 'status', status: 503 }, times: 2 });
    const notices: string[] = [];
    await resolve({ modelId: 'acme/tiny' }, { onNotice: (message) => notices.push(message) });
    expect([rule.used, notices.length]).toEqual([2, 2]);
    hub.requests.clear();
    hub.misbehave({ kinds: ['api'], fault: { type: 'status', status: 500 }, times: Infinity });
    const error = await failure(resolve({ modelId: 'acme/tiny' }, { records: new MemoryRecords() }));
    expect([error.code, error.retryable, error.detail['status']]).toEqual(['http_status', true, 500]);
    expect(hub.requests.entries).toHaveLength(4);
  });

  test('http_status: 429 waits as long as Retry-After says, and gives up where that is too long', async () => {
    hub.misbehave({ kinds: ['api'], fault: { type: 'status', status: 429, retryAfterSeconds: 1 } });
    const before = performance.now();
    await resolve({ modelId: 'acme/tiny' });
    expect(performance.now() - before).toBeGreaterThan(950);
    hub.misbehave({ kinds: ['api'], fault: { type: 'status', status: 429, retryAfterSeconds: 3600 } });
    const error = await failure(resolve({ modelId: 'acme/tiny' }, { records: new MemoryRecords() }));
    expect([error.code, error.detail['retryAfterMs']]).toEqual(['http_status', 3_600_000]);
  });

  test('an answer cut in the middle is repeated', async () => {
    hub.misbehave({ kinds: ['api'], fault: { type: 'cut', afterBytes: 20 }, times: 2 });
    expect((await resolve({ modelId: 'acme/tiny' })).files).toHaveLength(3);
  });

  test('listing_invalid: an endpoint that answers with a page', async () => {
    hub.misbehave({ kinds: ['api'], fault: { type: 'status', status: 200, body: '<!doctype html>' } });
    expect((await failure(resolve({ modelId: 'acme/tiny' }))).code).toBe('listing_invalid');
  });

  test('not_cached: nobody there, nothing known; the cause says what a page can know', async () => {
    const deps = { hub: { endpoint: 'http://127.0.0.1:1' } };
    const error = await failure(resolve({ modelId: 'acme/tiny' }, deps));
    expect([error.code, error.retryable, isLoadError(error.cause) && error.cause.code]).toEqual([
      'not_cached',
      true,
      'network_unreachable',
    ]);
    expect(error.message).toContain('CORS');
  });

  test('aborted: before, during a request, during a wait', async () => {
    expect((await failure(resolve({ modelId: 'acme/tiny' }, { signal: AbortSignal.abort() }))).code).toBe('aborted');
    hub.misbehave({ kinds: ['api'], fault: { type: 'delay', beforeHeadersMs: 60_000 } });
    const started = performance.now();
    expect((await failure(resolve({ modelId: 'acme/tiny' }, { signal: AbortSignal.timeout(50) }))).code).toBe(
      'aborted',
    );
    hub.misbehave({ kinds: ['api'], fault: { type: 'status', status: 503 }, times: Infinity });
    const slow = { retry: { baseDelayMs: 60_000, maxDelayMs: 60_000 }, signal: AbortSignal.timeout(50) };
    expect((await failure(resolve({ modelId: 'acme/tiny' }, slow))).code).toBe('aborted');
    expect(performance.now() - started).toBeLessThan(2_000);
    expect(records.writes).toEqual([]);
  });
});

describe('hostile listings end in listing_invalid and name the entry', () => {
  const oid = '0'.repeat(40);
  const entry = (path: unknown, more: object = {}) => ({ type: 'file', path, size: 1, oid, ...more });
  test.each([
    ['a parent', entry('../evil')],
    ['a parent within', entry('a/../../evil')],
    ['a dot', entry('./a')],
    ['absolute', entry('/etc/passwd')],
    ['a drive', entry('C:/x')],
    ['empty', entry('')],
    ['an empty segment', entry('a//b')],
    ['a trailing slash', entry('a/')],
    ['a backslash', entry('a\\..\\b')],
    ['NUL', entry('a\u0000b')],
    ['a line break', entry('a\nb')],
    ['a lone surrogate', entry('a\ud800')],
    ['no text', entry(7)],
    ['too long', entry('x'.repeat(2000))],
    ['a duplicate', entry('config.json')],
    ['a negative size', entry('x', { size: -1 })],
    ['an unsafe size', entry('x', { size: 2 ** 53 })],
    ['a broken size', entry('x', { size: 1.5 })],
    ['a size in words', entry('x', { size: '1' })],
    ['no hash', entry('x', { oid: undefined })],
    ['a short hash', entry('x', { oid: 'abc' })],
    ['no sha256', entry('x', { lfs: { size: 1 } })],
    ['two sizes', entry('x', { lfs: { oid: '0'.repeat(64), size: 2 } })],
    ['another type', { type: 'symlink', path: 'x' }],
    ['no object', 'x'],
    ['null', null],
  ])('%s', async (_, hostile) => {
    await hub.addRepository('acme/hostile', { main: { files }, hostile: { entries: [hostile] } });
    const error = await failure(resolve({ modelId: 'acme/hostile' }));
    expect([error.code, error.retryable]).toEqual(['listing_invalid', false]);
    // Two folders or files of our own stand before it.
    expect(error.detail['index']).toBe(4);
    expect(records.writes).toEqual([]);
  });

  test('more than 10,000 entries', async () => {
    const entries = Array.from({ length: 10_001 }, (_, index) => entry(`f${index}`));
    const big = await startHub({
      repositories: { 'acme/big': { main: { files }, hostile: { entries } } },
      pageSize: 5000,
    });
    try {
      const error = await failure(resolve({ modelId: 'acme/big' }, { hub: { endpoint: big.endpoint } }));
      expect([error.code, error.detail['index']]).toEqual(['listing_invalid', 10_000]);
    } finally {
      await big.close();
    }
  });

  test.each([[undefined], ['main'], ['../x'], ['A'.repeat(40)], [7]])('a sha that is none: %j', async (sha) => {
    await hub.addRepository('acme/hostile', { main: { files }, hostile: { sha } });
    expect((await failure(resolve({ modelId: 'acme/hostile' }))).code).toBe('listing_invalid');
  });

  test('another commit than the one asked for', async () => {
    const { sha } = hub.commitOf('acme/tiny');
    hub.misbehave({ kinds: ['api'], fault: { type: 'json', body: { sha: '1'.repeat(40) } } });
    expect((await failure(resolve({ modelId: 'acme/tiny', revision: sha }))).code).toBe('listing_invalid');
  });

  test('pages in a circle; a list that is none', async () => {
    const link = `<${hub.endpoint}/x?recursive=true&expand=false>; rel="next"`;
    const page = { type: 'status', status: 200, body: '[]', headers: { Link: link } } as const;
    hub.misbehave({ path: '/tree/', fault: page, times: Infinity });
    expect((await failure(resolve({ modelId: 'acme/tiny' }))).message).toContain('circle');
    hub.behave();
    hub.misbehave({ path: '/tree/', fault: { type: 'json', body: { files: [] } } });
    expect((await failure(resolve({ modelId: 'acme/tiny' }))).code).toBe('listing_invalid');
  });

  test('an answer without end', async () => {
    const body = `[${' '.repeat(17 * 1024 * 1024)}]`;
    hub.misbehave({ path: '/tree/', fault: { type: 'status', status: 200, body } });
    expect((await failure(resolve({ modelId: 'acme/tiny' }))).code).toBe('listing_invalid');
  });

  test('a page that cannot read Link notices that files are missing', async () => {
    const hiding = async (url: string, init: RequestInit): Promise<Response> => {
      const response = await fetch(url, init);
      const headers = new Headers(response.headers);
      headers.delete('Link');
      return new Response(response.body, { status: response.status, headers });
    };
    const error = await failure(resolve({ modelId: 'acme/many' }, { fetch: hiding }));
    expect([error.code, error.detail['reason']]).toEqual(['listing_invalid', 'files are missing']);
  });
});

describe('the token', () => {
  test('goes to the endpoint only: not to the CDN, not into records, URLs or notices', async () => {
    const notices: string[] = [];
    hub.misbehave({ kinds: ['api'], fault: { type: 'status', status: 503 } });
    const snapshot = await resolve(
      { modelId: 'acme/gated' },
      { token: TOKEN, onNotice: (message) => notices.push(message) },
    );
    for (const file of snapshot.files) {
      await (await fetch(file.url, { headers: { Authorization: `Bearer ${TOKEN}` } })).arrayBuffer();
    }
    expect(hub.requests.find({ server: 'hub', kind: 'api' }).every((entry) => entry.hadAuthorization)).toBe(true);
    const cdn = hub.requests.find({ server: 'cdn' });
    expect(cdn.length).toBeGreaterThan(0);
    expect(cdn.some((entry) => entry.hadAuthorization)).toBe(false);
    expect(hub.requests.entries.some((entry) => entry.url.includes('hf_'))).toBe(false);
    expect(JSON.stringify([snapshot, notices, [...records.refs], [...records.snapshots]])).not.toContain('hf_');
  });

  test('does not accompany a request to another origin, as for a signed address', async () => {
    const access = { endpoint: hub.endpoint, token: TOKEN, fetch };
    const subject = { modelId: 'acme/gated', revision: null, path: null };
    const [file] = (await resolve({ modelId: 'acme/gated' }, { token: TOKEN })).files.slice(-1);
    const signed = (await fetch(file?.url ?? '', { headers: { Authorization: `Bearer ${TOKEN}` }, redirect: 'manual' }))
      .headers;
    hub.requests.clear();
    await (await requestHub(access, signed.get('Location') ?? '', subject)).arrayBuffer();
    await (await requestHub(access, file?.url ?? '', subject, { headers: { Range: 'bytes=0-0' } })).arrayBuffer();
    expect(hub.requests.entries.map((entry) => [entry.server, entry.hadAuthorization])).toEqual([
      ['cdn', false],
      ['hub', true],
      ['cdn', false],
    ]);
    // Node's fetch drops the header on redirects by itself; what is proved here is the first row.
  });

  test("a mirror's links to another host are followed on the mirror", async () => {
    const elsewhere: string[] = [];
    const first = `<https://hub.invalid/api/models/acme/many/tree/x?recursive=true&expand=false&cursor=NA>; rel="next"`;
    const spying = async (url: string, init: RequestInit): Promise<Response> => {
      if (!url.startsWith(hub.endpoint)) elsewhere.push(url);
      const response = await fetch(url, init);
      if (!url.includes('/tree/') || url.includes('cursor')) return response;
      return new Response(response.body, { headers: { Link: first } });
    };
    const snapshot = await resolve({ modelId: 'acme/many' }, { fetch: spying, token: TOKEN });
    expect([snapshot.files.length, elsewhere]).toEqual([25, []]);
  });

  test('fetch is called bare, as a browser demands', async () => {
    const strict = function (this: unknown, url: string, init: RequestInit): Promise<Response> {
      if (this !== undefined) throw new TypeError('Illegal invocation');
      return fetch(url, init);
    };
    expect((await resolve({ modelId: 'acme/tiny' }, { fetch: strict })).files).toHaveLength(3);
  });
});

describe('offline', () => {
  test('the last known commit of the branch, when the hub is gone, down, or not to be asked', async () => {
    const first = await resolve({ modelId: 'acme/tiny' });
    const expected = { ...first, offline: true };
    const notices: string[] = [];
    await hub.goDown();
    try {
      expect(await resolve({ modelId: 'acme/tiny' }, { onNotice: (text) => notices.push(text) })).toEqual(expected);
    } finally {
      await hub.comeBack();
    }
    expect(notices.at(-1)).toContain(first.commit.slice(0, 12));
    hub.misbehave({ kinds: ['api'], fault: { type: 'status', status: 503 }, times: Infinity });
    expect(await resolve({ modelId: 'acme/tiny' })).toEqual(expected);
    hub.behave();
    // Nobody with the model on disk waits for a busy hub.
    hub.misbehave({ kinds: ['api'], fault: { type: 'status', status: 429, retryAfterSeconds: 60 } });
    expect(await resolve({ modelId: 'acme/tiny' })).toEqual(expected);
    hub.requests.clear();
    expect(await resolve({ modelId: 'acme/tiny', offline: true })).toEqual(expected);
    expect(hub.requests.entries).toHaveLength(0);
  });

  test('what the hub refuses is not answered from the cache', async () => {
    await hub.addRepository('acme/gone', { main: { files } });
    await resolve({ modelId: 'acme/gone' });
    await hub.addRepository('acme/gone', { main: { files }, private: true });
    expect((await failure(resolve({ modelId: 'acme/gone' }))).code).toBe('repository_not_found');
  });

  test('not_cached: another branch or endpoint was never loaded', async () => {
    await resolve({ modelId: 'acme/tiny' });
    const other = await failure(resolve({ modelId: 'acme/tiny', revision: 'dev', offline: true }));
    expect([other.code, other.retryable]).toEqual(['not_cached', false]);
    const mirror = { hub: { endpoint: 'https://mirror.invalid' } };
    expect((await failure(resolve({ modelId: 'acme/tiny', offline: true }, mirror))).code).toBe('not_cached');
  });
});

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

  test.each([
    ['no JSON', '{'],
    ['no models', '{}'],
    ['no commit', '{"models":{"a/b":{"files":[]}}}'],
    ['no files', `{"models":{"a/b":{"commit":"${'0'.repeat(64)}"}}}`],
    [
      'a parent',
      `{"models":{"a/b":{"commit":"${'0'.repeat(64)}","files":[{"path":"../x","sizeBytes":1,"sha256":"${'0'.repeat(64)}"}]}}}`,
    ],
    ['no hash', `{"models":{"a/b":{"commit":"${'0'.repeat(64)}","files":[{"path":"x","sizeBytes":1}]}}}`],
  ])('listing_invalid: an index with %s', async (_, text) => {
    await writeFile(join(root, 'index.json'), text);
    await mkdir(join(root, 'bad/models'), { recursive: true });
    await writeFile(join(root, 'bad/models/index.json'), text);
    const error = await failure(resolve({ modelId: 'a/b' }, { bundledBaseUrl: `${baseUrl}bad` }));
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
