/**
 * Every way in which a server or a line can go wrong. After each: the cache holds the original bytes, or the error is the
 * right one and a later download completes with only what was missing.
 */
import type { Hub, FaultRule } from '../../hub/index.ts';
import { expect, MODEL, QUICK, sentBytes, SHARD_BYTES, SHARDS, test, TOTAL_BYTES } from './fixture.ts';

const SHARD = SHARDS[0] ?? '';
const content = (rule: Omit<FaultRule, 'kinds'>): FaultRule => ({ ...rule, kinds: ['content'] });

/** Faults that a download has to live through, and how many bytes too many it may fetch for it. */
const SURVIVED: readonly (readonly [name: string, rules: readonly FaultRule[], extraBytes: number])[] = [
  [
    'cut at a random byte of every answer for a while',
    [content({ fault: { type: 'cutRandom', seed: 7 }, times: 30 })],
    TOTAL_BYTES,
  ],
  [
    'torn down (RST) at random',
    [content({ fault: { type: 'cutRandom', seed: 8, reset: true }, times: 10 })],
    TOTAL_BYTES,
  ],
  ['cut at the first byte', [content({ fault: { type: 'cut', afterBytes: 0 }, times: 6 })], 0],
  [
    'every answer cut after 100,000 bytes',
    [content({ fault: { type: 'cut', afterBytes: 100_000 }, times: Infinity })],
    TOTAL_BYTES,
  ],
  ['a stall', [content({ fault: { type: 'stall', afterBytes: 50_000 }, times: 3 })], 0],
  ['429 with Retry-After', [content({ fault: { type: 'status', status: 429, retryAfterSeconds: 1 }, times: 3 })], 0],
  // Fewer than one range has attempts, wherever they fall.
  ['a burst of 500', [content({ fault: { type: 'status', status: 500 }, times: 6 })], 0],
  ['a burst of 503 @long', [content({ fault: { type: 'status', status: 503 }, skip: 2, times: 6 })], 0],
  ['503 from the hub itself', [{ fault: { type: 'status', status: 503 }, kinds: ['resolve'], times: 8 }], 0],
  ['wrong Content-Range', [content({ fault: { type: 'contentRange', shiftBytes: 1 }, times: 4 })], TOTAL_BYTES],
  [
    'unreadable Content-Range',
    [content({ fault: { type: 'contentRange', value: 'bytes lies' }, times: 4 })],
    TOTAL_BYTES,
  ],
  ['answers too long', [content({ fault: { type: 'length', deltaBytes: 10 }, times: 4 })], TOTAL_BYTES],
  ['answers too short', [content({ fault: { type: 'length', deltaBytes: -10 }, times: 4 })], 0],
  ['an expired signature', [content({ fault: { type: 'expired' }, skip: 3, times: 2 })], 0],
  [
    'an expired signature whose refusal has no CORS headers',
    [content({ fault: { type: 'expired', cors: false }, skip: 3 })],
    0,
  ],
  ['200 instead of 206, now and then', [content({ fault: { type: 'wholeBody' }, skip: 2, times: 2 })], TOTAL_BYTES],
  ['a slow start', [content({ fault: { type: 'delay', beforeHeadersMs: 1_000 }, times: 2 })], 0],
  ['a start too slow', [content({ fault: { type: 'delay', beforeHeadersMs: 5_000 }, times: 2 })], 0],
  ['dropped connections', [{ fault: { type: 'drop' }, times: 6 }], 0],
  ['CORS that hides the headers', [content({ fault: { type: 'hiddenHeaders' }, times: Infinity })], 0],
];

for (const [name, rules, extraBytes] of SURVIVED) {
  test(`survives ${name}`, async ({ tab, hub }) => {
    const active = rules.map((rule) => hub.misbehave(rule));
    const { summary } = await tab.download();
    expect(active.every((rule) => rule.used > 0)).toBe(true);
    await tab.expectOriginals(hub);
    expect(summary).toMatchObject({ restarted: [] });
    // What sat in a socket's buffer when it was torn down was sent, but never arrived.
    expect(sentBytes(hub)).toBeLessThanOrEqual(TOTAL_BYTES + extraBytes + 400_000);
  });
}

test('a server without ranges works in one stream a file, and a cut stream goes on', async ({ tab, hub }) => {
  hub.misbehave(content({ fault: { type: 'cut', afterBytes: 1_000_000 }, times: 1 }));
  hub.misbehave(content({ fault: { type: 'wholeBody' }, times: Infinity }));
  const { summary } = await tab.download();
  await tab.expectOriginals(hub);
  expect(summary).toMatchObject({
    notices: expect.arrayContaining([expect.stringContaining('not in ranges')]),
  });
});

test('a whole body to a small range read: what passed by is kept', async ({ tab, hub }) => {
  hub.misbehave(content({ fault: { type: 'wholeBody' }, times: Infinity }));
  await tab.call('readRange', SHARD, 100_000, 100_008);
  hub.behave();
  const { summary } = await tab.download([SHARD]);
  expect((summary as { cachedBytes: number }).cachedBytes).toBeGreaterThanOrEqual(100_008);
  await tab.expectOriginals(hub, [SHARD]);
});

test('gzip where none was asked', async ({ tab, hub }) => {
  hub.misbehave(content({ fault: { type: 'gzip' }, times: Infinity }));
  await tab.download();
  await tab.expectOriginals(hub);
});

test('one flipped bit: named, dropped, fetched again', async ({ tab, hub }) => {
  hub.misbehave(content({ fault: { type: 'flipBit', fileOffset: 1_234_567 }, path: SHARD, times: 12 }));
  const { summary } = await tab.download();
  expect(summary).toMatchObject({ restarted: [{ path: SHARD, reason: 'integrity_mismatch' }] });
  await tab.expectOriginals(hub);
});

test('bytes that stay wrong: integrity_mismatch names the file; nothing of it is kept; the others are', async ({
  tab,
  hub,
}) => {
  const rule = hub.misbehave(content({ fault: { type: 'flipBit', fileOffset: 99 }, path: SHARD, times: Infinity }));
  const error = await tab.downloadFails('integrity_mismatch');
  expect(error.message).toContain(SHARD);
  expect(error.detail).toMatchObject({ path: SHARD, algorithm: 'sha256' });
  const [status] = await tab.call('status', [SHARD]);
  expect(status).toMatchObject({ cachedBytes: 0, complete: false });
  rule.cancel();
  hub.behave();
  await tab.download();
  await tab.expectOriginals(hub);
});

test('a file that changes half-way starts over and says so', async ({ tab, hub }) => {
  const before = hub.misbehave(content({ fault: { type: 'changed' }, path: SHARD, skip: 4, times: 1 }));
  const { summary } = await tab.download();
  expect(before.used).toBe(1);
  expect(summary).toMatchObject({ restarted: [{ path: SHARD, reason: 'file_changed' }] });
  await tab.expectOriginals(hub);
});

test('a file that keeps changing: file_changed', async ({ tab, hub }) => {
  for (let skip = 3; skip < 40; skip += 2)
    hub.misbehave(content({ fault: { type: 'changed' }, path: SHARD, skip, times: 1 }));
  const error = await tab.downloadFails('file_changed');
  expect(error.message).toContain(SHARD);
  hub.behave();
  await tab.download();
  await tab.expectOriginals(hub);
});

test('a Content-Range that is never right: the file is taken as a whole', async ({ tab, hub }) => {
  const rule = hub.misbehave(content({ fault: { type: 'contentRange', shiftBytes: 64 }, times: Infinity }));
  await tab.download();
  expect(rule.used).toBeGreaterThan(3);
  await tab.expectOriginals(hub);
});

/** Faults that end a download, each with its code; afterwards only what was missing is fetched. */
const FATAL: readonly (readonly [name: string, rules: readonly FaultRule[], code: string])[] = [
  ['404', [content({ fault: { type: 'status', status: 404 }, path: SHARD, skip: 2, times: Infinity })], 'http_status'],
  [
    '404 from the hub',
    [
      {
        fault: { type: 'status', status: 404, body: '{"error":"Entry not found"}' },
        kinds: ['resolve'],
        path: SHARD,
        times: Infinity,
      },
    ],
    'file_not_found',
  ],
  [
    '500 for ever',
    [content({ fault: { type: 'status', status: 500 }, path: SHARD, skip: 2, times: Infinity })],
    'http_status',
  ],
  [
    'every connection dropped',
    [{ fault: { type: 'drop' }, path: SHARD, skip: 4, times: Infinity }],
    'network_unreachable',
  ],
  [
    'silence',
    [content({ fault: { type: 'stall', afterBytes: 0 }, path: SHARD, skip: 2, times: Infinity })],
    'network_unreachable',
  ],
];

for (const [name, rules, code] of FATAL) {
  test(`gives up on ${name} with ${code}, and goes on later with what was missing`, async ({ openTab, hub }) => {
    const tab = await openTab({ ...QUICK, stallTimeoutMs: 150, headersTimeoutMs: 1_500, maxAttempts: 3 });
    for (const rule of rules) hub.misbehave(rule);
    const error = await tab.downloadFails(code as 'http_status');
    expect(error.message).toContain(SHARD);
    await tab.expectQuiet();
    hub.behave();
    const kept = (await tab.call('status', SHARDS)).reduce((sum, file) => sum + file.cachedBytes, 0);
    const { summary } = await tab.download();
    expect(summary).toMatchObject({ cachedBytes: kept, networkBytes: TOTAL_BYTES - kept });
    await tab.expectOriginals(hub);
  });
}

test('permanent errors fail at once', async ({ tab, hub }) => {
  hub.misbehave({ fault: { type: 'status', status: 404 }, kinds: ['resolve'], path: SHARD, times: Infinity });
  await tab.downloadFails('file_not_found', [SHARD]);
  expect(
    hub.requests.entries.filter((request) => request.kind === 'resolve' && request.file === SHARD).length,
  ).toBeLessThanOrEqual(6);
});

test('a file shorter than announced: size_mismatch', async ({ openTab, hub }) => {
  await hub.addRepository('tests/liar', {
    main: { files: { [SHARD]: { content: 'short', listed: { sizeBytes: 1_000_000 } } } },
  });
  const tab = await openTab();
  await tab.call('close');
  await tab.call('open', hub.endpoint, 'tests/liar');
  const error = await tab.downloadFails('size_mismatch', [SHARD]);
  expect(error.message).toContain(SHARD);
});

test('the server goes away and comes back', async ({ openTab, hub }) => {
  const tab = await openTab({ ...QUICK, maxAttempts: 12, maxDelayMs: 400 });
  hub.setThrottle({ bytesPerSecond: 6_000_000 });
  const running = tab.download();
  await expect.poll(() => sentBytes(hub)).toBeGreaterThan(1_000_000);
  await hub.goDown();
  await new Promise((resolve) => setTimeout(resolve, 700));
  await hub.comeBack();
  hub.setThrottle({});
  await running;
  await tab.expectOriginals(hub);
});

test('offline and CORS are told apart', async ({ openTab, hub }) => {
  const tab = await openTab({ ...QUICK, maxAttempts: 2 });
  hub.misbehave({ fault: { type: 'noCors' }, server: 'hub', times: Infinity });
  const cors = await tab.downloadFails('network_unreachable');
  expect(cors).toMatchObject({ retryable: false, detail: { cors: true } });
  expect(cors.message).toContain('Access-Control-Allow-Origin');
  hub.behave();
  await hub.goDown();
  const offline = await tab.downloadFails('network_unreachable');
  expect(offline.retryable).toBe(true);
  expect(offline.detail['cors']).toBeUndefined();
  await hub.comeBack();
  await tab.download();
  await tab.expectOriginals(hub);
});

test('the token goes to the endpoint only, and into no error', async ({ tab, hub }) => {
  const token = 'hf_SecretSecretSecret';
  await hub.addRepository('tests/private', {
    main: { files: { [SHARD]: { synthetic: { seed: 5, sizeBytes: SHARD_BYTES[0] ?? 0 } } } },
    private: true,
    tokens: [token],
  });
  await tab.call('close');
  await tab.call('open', hub.endpoint, 'tests/private', { token });
  await tab.download([SHARD]);
  await tab.expectOriginals(hub, [SHARD], 'tests/private');
  const requests = hub.requests.entries.filter(
    (request) => request.repository === 'tests/private' && request.kind !== 'preflight',
  );
  expect(requests.filter((request) => request.server === 'cdn').every((request) => !request.hadAuthorization)).toBe(
    true,
  );
  expect(requests.filter((request) => request.kind === 'resolve').every((request) => request.hadAuthorization)).toBe(
    true,
  );
  expect(await countResolves(hub)).toBeLessThan(10);
});

/** Later ranges go straight to the address behind the redirect: a hub counts requests. */
async function countResolves(hub: Hub): Promise<number> {
  return hub.requests.entries.filter((request) => request.kind === 'resolve' && request.repository !== MODEL).length;
}

test('connections that hang hold up no other', async ({ hub, openTab }) => {
  // Nobody waits so long: what completes has not waited for a connection to be given up.
  const tab = await openTab({ ...QUICK, stallTimeoutMs: 600_000 });
  // More of them than are used at once in the beginning.
  hub.misbehave(content({ fault: { type: 'stall', afterBytes: 1_000 }, times: 3 }));
  const running = tab.call('download', SHARDS);
  const withoutThree = TOTAL_BYTES - 3 * (QUICK.rangeBytes ?? 0);
  await expect.poll(() => sentBytes(hub)).toBeGreaterThanOrEqual(withoutThree);
  await tab.call('cancel');
  expect((await running).error?.code).toBe('aborted');
  await tab.download();
  await tab.expectOriginals(hub);
});
