/**
 * The fetch stage when everything goes well: bytes, ranges, records, progress, cancelling.
 */
import type { Worker } from '@playwright/test';
import { expect, sentBytes, SHARD_BYTES, SHARDS, test, TOTAL_BYTES } from './fixture.ts';

test('downloads shards in ranges, verifies, records, and asks for nothing the second time', async ({
  tab,
  hub,
  openTab,
}) => {
  const first = await tab.download();
  expect(first.summary).toMatchObject({
    totalBytes: TOTAL_BYTES,
    networkBytes: TOTAL_BYTES,
    cachedBytes: 0,
    restarted: [],
  });
  await tab.expectOriginals(hub);
  expect(sentBytes(hub)).toBe(TOTAL_BYTES);
  const ranged = hub.requests.entries.filter((request) => request.kind === 'content' && request.range !== null);
  expect(ranged.length).toBeGreaterThan(10);

  await tab.call('dispose');
  const again = await openTab();
  const before = hub.requests.entries.length;
  const second = await again.download();
  expect(second.summary).toMatchObject({ networkBytes: 0, cachedBytes: TOTAL_BYTES });
  expect(hub.requests.entries.length).toBe(before);
  await again.expectOriginals(hub);
});

test('reads small files whole, verified by git hash, and an empty one', async ({ tab, hub }) => {
  expect(await tab.call('readAll', 'config.json')).toBe(hub.commitOf('tests/shards').files.get('config.json')?.sha256);
  expect(await tab.call('readAll', 'empty.txt')).toBe(hub.commitOf('tests/shards').files.get('empty.txt')?.sha256);
  const count = hub.requests.entries.length;
  await tab.call('readAll', 'config.json');
  expect(hub.requests.entries.length).toBe(count);
});

test('a range read fetches exactly its bytes, once, and the download does not fetch them again', async ({
  tab,
  hub,
}) => {
  const path = SHARDS[0] ?? '';
  await tab.call('readRange', path, 0, 8);
  await tab.call('readRange', path, 8, 5000);
  expect(sentBytes(hub)).toBe(5000);
  await tab.call('readRange', path, 0, 5000);
  await tab.call('readRange', path, 100, 4000);
  expect(sentBytes(hub)).toBe(5000);
  expect(await tab.call('status', [path])).toEqual([
    { path, sizeBytes: SHARD_BYTES[0], cachedBytes: 5000, complete: false },
  ]);
  await tab.download();
  expect(sentBytes(hub)).toBe(TOTAL_BYTES);
  await tab.expectOriginals(hub);
});

test('a range beyond the file, and a file that is not there, are refused by name', async ({ tab }) => {
  const range = await tab.tryCall('readRange', SHARDS[0] ?? '', 0, 4_000_000);
  expect(range.error).toMatchObject({ code: 'invalid_argument', detail: { sizeBytes: SHARD_BYTES[0] } });
  const file = await tab.tryCall('readAll', 'nowhere.json');
  expect(file.error).toMatchObject({ code: 'file_not_found', detail: { path: 'nowhere.json' } });
});

test('waitRange hands out bytes while the download runs', async ({ tab, hub }) => {
  hub.setThrottle({ bytesPerSecond: 8_000_000 });
  const path = SHARDS[0] ?? '';
  const [, waited] = await Promise.all([tab.download([path]), tab.call('waitThrough', path, 100_000)]);
  expect(waited.sha256).toBe(hub.commitOf('tests/shards').files.get(path)?.sha256);
  expect(waited.firstMs).toBeLessThan(waited.endMs / 2);
  expect(waited.waited).toBeGreaterThan(1);
  expect(waited.memoryBytes).toBe(200_000); // twice a piece: the memory that was brought, not new memory of a piece
  expect(sentBytes(hub)).toBe(SHARD_BYTES[0]);
});

test('cancel leaves nothing running; the next download fetches only the rest', async ({ tab, hub }) => {
  hub.setThrottle({ bytesPerSecond: 5_000_000 });
  const running = tab.call('download', SHARDS);
  await expect.poll(() => sentBytes(hub)).toBeGreaterThan(2_000_000);
  await tab.call('cancel');
  const cancelled = await running;
  expect(cancelled.error).toMatchObject({ code: 'aborted' });
  await tab.expectQuiet();
  const requests = hub.requests.entries.length;
  const [status] = await tab.call('status', [SHARDS[0] ?? '']);
  expect(status?.cachedBytes).toBeGreaterThan(0);
  hub.setThrottle({});
  const { summary } = await tab.download();
  expect(hub.requests.entries.length).toBeGreaterThan(requests);
  expect(summary).toMatchObject({ totalBytes: TOTAL_BYTES });
  expect((summary as { networkBytes: number }).networkBytes).toBeLessThan(TOTAL_BYTES - 1_000_000);
  await tab.expectOriginals(hub);
});

test('files without an announced hash are counted, hashed and recorded', async ({ tab, hub }) => {
  await tab.call('close');
  await tab.call('open', hub.endpoint, 'tests/shards', { dropHashes: true });
  await tab.download();
  await tab.expectOriginals(hub);
});

for (const end of ['closes', 'fails'] as const) {
  test(`a hash worker that ${end} in mid-download: worker_died, and the next download has another one`, async ({
    tab,
    hub,
  }) => {
    const findWorker = (): Worker | undefined =>
      tab.page.workers().findLast((each) => each.url().includes('hash.worker'));
    await expect.poll(findWorker, 'it starts with the fetch worker').toBeDefined();
    hub.setThrottle({ bytesPerSecond: 4_000_000 });
    const running = tab.call('download', SHARDS);
    await expect.poll(() => sentBytes(hub)).toBeGreaterThan(1_000_000);
    await findWorker()?.evaluate((how) => {
      if (how === 'closes') self.close();
      else setTimeout(() => reportError(new Error('out of memory')));
    }, end);
    hub.setThrottle({});
    const { error } = await running;
    expect(error).toMatchObject({ code: 'worker_died', stage: 'fetch', retryable: true });
    await tab.expectQuiet();
    await tab.download();
    await tab.expectOriginals(hub);
  });
}

test('closing a snapshot ends what it was doing; a dead fetch worker rejects what was waiting', async ({
  tab,
  hub,
}) => {
  hub.setThrottle({ bytesPerSecond: 1_000_000 });
  const running = tab.call('download', SHARDS);
  await expect.poll(() => sentBytes(hub)).toBeGreaterThan(100_000);
  await tab.call('close');
  expect((await running).error?.code).toMatch(/aborted|disposed/);
  const held = await tab.call('locks');
  expect(held.filter((name) => !/^firstlight:(fetch|hash)-worker:/u.test(name))).toEqual([]);

  await tab.call('open', hub.endpoint, 'tests/shards');
  const second = tab.call('download', SHARDS);
  await expect.poll(() => sentBytes(hub)).toBeGreaterThan(300_000);
  await tab.call('killFetchWorker');
  expect((await second).error).toMatchObject({ code: 'worker_died' });
});
