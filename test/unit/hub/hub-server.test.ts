/** The local hub itself, against plain fetch and Node's own hashes: what later tests rely on. */
import { createHash } from 'node:crypto';
import { mkdtemp, mkdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { openContent, readAll } from '../../hub/content.ts';
import { type Hub, startHub } from '../../hub/index.ts';

const MODEL = 'acme/tiny';
const weights = Uint8Array.from({ length: 300_000 }, (_, index) => (index * 31) % 251);
const config = '{"model_type":"llama"}\n';
let hub: Hub;

beforeAll(async () => {
  hub = await startHub({
    repositories: {
      [MODEL]: {
        main: { files: { 'config.json': config, 'model.safetensors': weights, 'sub/dir/note.txt': 'a note' } },
        revisions: { 'refs/pr/1': { files: { 'config.json': '{}' } } },
      },
      gpt2: { main: { files: {} }, renamedTo: MODEL },
    },
    pageSize: 2,
  });
});
afterAll(() => hub.close());
afterEach(() => {
  hub.behave();
  hub.requests.clear();
});

const resolve = (path: string, revision = 'main'): string =>
  `${hub.endpoint}/${MODEL}/resolve/${encodeURIComponent(revision)}/${path}`;
const get = (url: string, headers: Record<string, string> = {}, redirect: RequestRedirect = 'follow') =>
  fetch(url, { headers, redirect });
const bytesOf = async (response: Response) => new Uint8Array(await response.arrayBuffer());
/** A plain comparison: deep equality of large arrays takes seconds. */
const expectBytes = (actual: Uint8Array, expected: Uint8Array): void => {
  expect([actual.length, Buffer.compare(actual, expected)]).toEqual([expected.length, 0]);
};
const gitSha1 = (bytes: Uint8Array | string) =>
  createHash('sha1').update(`blob ${bytes.length}\0`).update(bytes).digest('hex');

describe('protocol', () => {
  test('info, tree with pages, hashes', async () => {
    const info = (await (await get(`${hub.endpoint}/api/models/${MODEL}/revision/main`)).json()) as { sha: string };
    expect(info.sha).toMatch(/^[0-9a-f]{40}$/);
    const entries: Record<string, unknown>[] = [];
    let url: string | undefined = `${hub.endpoint}/api/models/${MODEL}/tree/${info.sha}?recursive=true&expand=false`;
    let pages = 0;
    while (url !== undefined) {
      const response: Response = await get(url);
      entries.push(...((await response.json()) as Record<string, unknown>[]));
      url = /<(.*)>; rel="next"/.exec(response.headers.get('Link') ?? '')?.[1];
      pages++;
    }
    expect(pages).toBe(3);
    expect(entries.map((entry) => [entry['type'], entry['path']])).toEqual([
      ['directory', 'sub'],
      ['directory', 'sub/dir'],
      ['file', 'config.json'],
      ['file', 'model.safetensors'],
      ['file', 'sub/dir/note.txt'],
    ]);
    expect(entries[2]).toMatchObject({ oid: gitSha1(config), size: config.length });
    expect(entries[3]).toMatchObject({
      size: weights.length,
      lfs: { oid: createHash('sha256').update(weights).digest('hex'), size: weights.length },
    });
  });

  test('small files: redirect within the hub, ETag is the git hash', async () => {
    const first = await get(resolve('config.json'), {}, 'manual');
    expect(first.status).toBe(307);
    expect(first.headers.get('X-Repo-Commit')).toBe(hub.commitOf(MODEL).sha);
    const response = await get(resolve('config.json'));
    expect(response.headers.get('ETag')).toBe(`"${gitSha1(config)}"`);
    expect(await response.text()).toBe(config);
    expect(await (await get(resolve('config.json', 'refs/pr/1'))).text()).toBe('{}');
  });

  test('large files: signed redirect to the other origin', async () => {
    const first = await get(resolve('model.safetensors'), {}, 'manual');
    expect(first.status).toBe(302);
    expect(first.headers.get('X-Linked-Size')).toBe(String(weights.length));
    expect(first.headers.get('X-Linked-ETag')).toBe(`"${createHash('sha256').update(weights).digest('hex')}"`);
    const location = first.headers.get('Location') ?? '';
    expect(new URL(location).origin).toBe(hub.cdnOrigin);
    expectBytes(await bytesOf(await get(location)), weights);
    expect((await get(location.replace(/Signature=./, 'Signature=_'))).status).toBe(403);
    hub.expireSignedUrls();
    expect((await get(location)).status).toBe(403);
    expect((await get(resolve('model.safetensors'))).status).toBe(200);
  });

  test.each([
    ['bytes=0-0', 206, [0, 1]],
    ['bytes=100-199', 206, [100, 200]],
    ['bytes=299990-', 206, [299_990, 300_000]],
    ['bytes=299990-999999', 206, [299_990, 300_000]],
    ['bytes=-7', 206, [299_993, 300_000]],
    ['bytes=5-2', 200, [0, 300_000]],
    ['bytes=0-1,5-6', 200, [0, 300_000]],
    ['lines=1-2', 200, [0, 300_000]],
  ] as const)('range %s', async (range, status, [start, end]) => {
    const response = await get(resolve('model.safetensors'), { Range: range });
    expect(response.status).toBe(status);
    expectBytes(await bytesOf(response), weights.slice(start, end));
    if (status === 206) expect(response.headers.get('Content-Range')).toBe(`bytes ${start}-${end - 1}/300000`);
  });

  test('416 beyond the end; If-Range; HEAD', async () => {
    const beyond = await get(resolve('model.safetensors'), { Range: 'bytes=300000-' });
    expect(beyond.status).toBe(416);
    expect(beyond.headers.get('Content-Range')).toBe('bytes */300000');
    const etag = (await fetch(resolve('model.safetensors'), { method: 'HEAD' })).headers.get('ETag') ?? '';
    expect((await get(resolve('model.safetensors'), { Range: 'bytes=0-9', 'If-Range': etag })).status).toBe(206);
    const stale = await get(resolve('model.safetensors'), { Range: 'bytes=0-9', 'If-Range': '"old"' });
    expect([stale.status, (await bytesOf(stale)).length]).toEqual([200, 300_000]);
  });

  test('CORS as the real hub has it', async () => {
    const response = await get(resolve('config.json'), { Origin: 'https://page.example' }, 'manual');
    expect(response.headers.get('Access-Control-Allow-Origin')).toBe('https://page.example');
    expect(response.headers.get('Access-Control-Expose-Headers')).toContain('X-Error-Code');
    const preflight = await fetch(resolve('config.json'), {
      method: 'OPTIONS',
      headers: { Origin: 'https://page.example', 'Access-Control-Request-Headers': 'authorization' },
    });
    expect(preflight.headers.get('Access-Control-Allow-Headers')).toBe('authorization');
  });

  test('a renamed repository redirects', async () => {
    const info = (await (await get(`${hub.endpoint}/api/models/gpt2/revision/main`)).json()) as { id: string };
    expect(info.id).toBe(MODEL);
    expect(await (await get(`${hub.endpoint}/gpt2/resolve/main/config.json`)).text()).toBe(config);
  });

  test('a push moves the branch; the old commit stays', async () => {
    await hub.addRepository('acme/moving', { main: { files: { 'a.txt': 'one' } } });
    const before = hub.commitOf('acme/moving').sha;
    const after = await hub.push('acme/moving', 'main', { files: { 'a.txt': 'two' } });
    expect(after).not.toBe(before);
    const read = async (revision: string) =>
      (await get(`${hub.endpoint}/acme/moving/resolve/${revision}/a.txt`)).text();
    expect([await read('main'), await read(before)]).toEqual(['two', 'one']);
  });

  test('the log says who asked for what', async () => {
    await bytesOf(
      await get(resolve('model.safetensors'), { Range: 'bytes=0-99', Authorization: 'Bearer x' }).then((r) => r),
    );
    const rows = hub.requests.entries.map(({ server, kind, range, hadAuthorization }) => [
      server,
      kind,
      range,
      hadAuthorization,
    ]);
    // A token that nobody issued is refused before any redirect.
    expect(rows).toEqual([['hub', 'resolve', 'bytes=0-99', true]]);
    await bytesOf(await get(resolve('model.safetensors'), { Range: 'bytes=0-99' }));
    expect(hub.requests.find({ server: 'cdn' })).toMatchObject([
      { kind: 'content', repository: MODEL, file: 'model.safetensors', status: 206, bytesSent: 100, completed: true },
    ]);
    expect(hub.requests.contentBytes({ file: 'model.safetensors' })).toBe(100);
  });
});

describe('contents', () => {
  test.each(['bytes', 'bf16', 'f32'] as const)(
    'synthetic %s: any range equals the whole, blocks differ',
    async (kind) => {
      const content = await openContent({ synthetic: { seed: 5, sizeBytes: 3_500_001, kind } });
      const whole = await readAll(content);
      expect(whole.length).toBe(3_500_001);
      for (const [start, end] of [
        [0, 3],
        [1_048_570, 1_048_590],
        [1_048_579, 2_100_000],
        [3_499_999, 3_500_001],
      ] as const) {
        expectBytes(await readAll(content, start, end), whole.slice(start, end));
      }
      expect(whole.slice(0, 16)).not.toEqual(whole.slice(1 << 20, (1 << 20) + 16));
      if (kind === 'f32') {
        const values = new Float32Array(whole.buffer, 0, 800_000);
        expect(values.every((value) => Math.abs(value) <= 0.1)).toBe(true);
      }
      if (kind === 'bf16') {
        const halves = new Uint16Array(whole.buffer, 0, 1_700_000);
        const values = Float32Array.from(halves.subarray(0, 2_000_000), (half) => bf16(half));
        expect(values.every((value) => Math.abs(value) <= 0.1)).toBe(true);
        expect(new Set(values.slice(0, 1000)).size).toBeGreaterThan(300);
      }
    },
  );

  test('a folder on disk, and parts after one another', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'hub-'));
    try {
      await mkdir(join(folder, 'sub'));
      await writeFile(join(folder, 'sub/part.bin'), weights);
      await writeFile(join(folder, 'README.md'), 'read me');
      await hub.addRepository('acme/folder', { main: { directory: folder } });
      expect([...hub.commitOf('acme/folder').files.keys()]).toEqual(['README.md', 'sub/part.bin']);
      const response = await get(`${hub.endpoint}/acme/folder/resolve/main/sub/part.bin`, { Range: 'bytes=10-20000' });
      expectBytes(await bytesOf(response), weights.slice(10, 20_001));
      const parts = await openContent({ concat: ['head', { path: join(folder, 'README.md') }, weights] });
      expect(new TextDecoder().decode(await readAll(parts, 2, 8))).toBe('adread');
    } finally {
      await rm(folder, { recursive: true });
    }
  });
});

describe('misbehaviour', () => {
  const file = () => resolve('model.safetensors');

  test('cut after exactly n bytes, then well again', async () => {
    hub.misbehave({ path: 'model.safetensors', fault: { type: 'cut', afterBytes: 70_000 } });
    const { received, failed } = await readUntilEnd(await get(file()));
    expect([received, failed]).toEqual([70_000, true]);
    expect(hub.requests.find({ kind: 'content' })).toMatchObject([
      { bytesSent: 70_000, completed: false, fault: 'cut' },
    ]);
    expectBytes(await bytesOf(await get(file())), weights);
  });

  test('cut at a random byte of every answer, the same for the same seed', async () => {
    const run = async (): Promise<number[]> => {
      const rule = hub.misbehave({ fault: { type: 'cutRandom', seed: 3 }, times: Infinity });
      const sizes: number[] = [];
      for (let count = 0; count < 4; count++) sizes.push((await readUntilEnd(await get(file()))).received);
      rule.cancel();
      return sizes;
    };
    const sizes = await run();
    expect(new Set(sizes).size).toBe(4);
    expect(sizes.every((size) => size < weights.length)).toBe(true);
    expect(await run()).toEqual(sizes);
  });

  test('stall, for a time and for good', async () => {
    hub.misbehave({ fault: { type: 'stall', afterBytes: 1000, forMs: 120 } });
    const before = performance.now();
    expectBytes(await bytesOf(await get(file())), weights);
    expect(performance.now() - before).toBeGreaterThan(100);
    hub.misbehave({ fault: { type: 'stall', afterBytes: 1000 } });
    const response = await fetch(file(), { signal: AbortSignal.timeout(150) });
    const { received, failed } = await readUntilEnd(response);
    expect([received, failed]).toEqual([1000, true]);
  });

  test('statuses, with skip and times', async () => {
    hub.misbehave({
      kinds: ['resolve'],
      fault: { type: 'status', status: 429, retryAfterSeconds: 3 },
      skip: 1,
      times: 2,
    });
    const statuses: number[] = [];
    for (let count = 0; count < 4; count++) statuses.push((await get(file())).status);
    expect(statuses).toEqual([200, 429, 429, 200]);
  });

  test('ranges gone wrong', async () => {
    const range = { Range: 'bytes=100-199' };
    hub.misbehave({ fault: { type: 'wholeBody' } });
    const whole = await get(file(), range);
    expect([whole.status, (await bytesOf(whole)).length]).toEqual([200, 300_000]);
    hub.misbehave({ fault: { type: 'contentRange', shiftBytes: 8 } });
    expect((await get(file(), range)).headers.get('Content-Range')).toBe('bytes 108-207/300000');
    hub.misbehave({ fault: { type: 'length', deltaBytes: -10 } });
    expect((await bytesOf(await get(file(), range))).length).toBe(90);
    hub.misbehave({ fault: { type: 'length', deltaBytes: 5 } });
    expect((await bytesOf(await get(file(), range))).length).toBe(105);
  });

  test('contents gone wrong', async () => {
    hub.misbehave({ fault: { type: 'flipBit', fileOffset: 150, bit: 3 } });
    const flipped = await bytesOf(await get(file(), { Range: 'bytes=100-199' }));
    const expected = weights.slice(100, 200);
    expected[50] = (expected[50] ?? 0) ^ 8;
    expectBytes(flipped, expected);
    const etag = (await get(file(), { Range: 'bytes=0-0' })).headers.get('ETag') ?? '';
    hub.misbehave({ fault: { type: 'changed' }, times: 2 });
    const changed = await get(file(), { Range: 'bytes=0-9' });
    expect(changed.headers.get('ETag')).not.toBe(etag);
    expect((await get(file(), { Range: 'bytes=0-9', 'If-Range': etag })).status).toBe(200);
  });

  test('expired address: only resolving again helps', async () => {
    const location = (await get(file(), {}, 'manual')).headers.get('Location') ?? '';
    hub.misbehave({ fault: { type: 'expired' } });
    expect([(await get(location)).status, (await get(location)).status]).toEqual([403, 403]);
    expect((await get(file())).status).toBe(200);
  });

  test('gzip, no CORS, delay, drop, other JSON', async () => {
    hub.misbehave({ fault: { type: 'gzip' } });
    const zipped = await get(file(), { Range: 'bytes=0-9' });
    expect(zipped.headers.get('Content-Encoding')).toBe('gzip');
    expectBytes(await bytesOf(zipped), weights);
    hub.misbehave({ server: 'cdn', fault: { type: 'noCors' } });
    expect((await get(file())).headers.get('Access-Control-Allow-Origin')).toBeNull();
    hub.misbehave({ server: 'cdn', fault: { type: 'delay', beforeHeadersMs: 100 } });
    const before = performance.now();
    await get(file());
    expect(performance.now() - before).toBeGreaterThan(90);
    hub.misbehave({ server: 'cdn', fault: { type: 'drop' } });
    await expect(get(file())).rejects.toThrow();
    hub.misbehave({ kinds: ['api'], fault: { type: 'json', body: [{ path: '../x' }] } });
    expect(await (await get(`${hub.endpoint}/api/models/${MODEL}/tree/main`)).json()).toEqual([{ path: '../x' }]);
  });

  test('refused, then back on the same port', async () => {
    await hub.goDown();
    await expect(get(file())).rejects.toThrow();
    await hub.comeBack();
    expectBytes(await bytesOf(await get(file())), weights);
  });

  test('throttle: two connections share the line', async () => {
    hub.setThrottle({ bytesPerSecond: 2_000_000, latencyMs: 10 });
    try {
      const before = performance.now();
      await Promise.all([get(file()).then(bytesOf), get(file()).then(bytesOf)]);
      const elapsedMs = performance.now() - before;
      // 600,000 bytes at 2 MB/s, less the credit that a line starts with.
      expect(elapsedMs).toBeGreaterThan(250);
      expect(elapsedMs).toBeLessThan(900);
    } finally {
      hub.setThrottle({});
    }
  });
});

function bf16(half: number): number {
  const view = new DataView(new ArrayBuffer(4));
  view.setUint16(2, half, true);
  return view.getFloat32(0, true);
}

async function readUntilEnd(response: Response): Promise<{ received: number; failed: boolean }> {
  let received = 0;
  try {
    for await (const piece of response.body as unknown as AsyncIterable<Uint8Array>) received += piece.byteLength;
    return { received, failed: false };
  } catch {
    return { received, failed: true };
  }
}
