/**
 * Room and care: quota, eviction, listing, pinning, pruning, deleting, verifying.
 */
import type { CDPSession } from '@playwright/test';
import type { Hub } from '../../hub/index.ts';
import { expect, MODEL, sentBytes, SHARDS, startTestHub, test, TOTAL_BYTES, type Tab } from './fixture.ts';

const OTHER = 'tests/other';
const WEIGHTS = 'model.safetensors';

/** The override lasts as long as the session that made it. */
let session: CDPSession | null = null;

async function setQuota(tab: Tab, freeBytes: number | null): Promise<void> {
  await session?.detach();
  session = null;
  if (freeBytes === null) return;
  session = await tab.page.context().newCDPSession(tab.page);
  const { usageBytes } = await tab.call('usage');
  const origin = new URL(tab.page.url()).origin;
  await session.send('Storage.overrideQuotaForOrigin', { origin, quotaSize: usageBytes + freeBytes });
}

async function loadOther(tab: Tab, hub: Hub, sizeBytes = 4_000_000): Promise<void> {
  await hub.addRepository(OTHER, { main: { files: { [WEIGHTS]: { synthetic: { seed: 9, sizeBytes } } } } });
  await tab.call('close');
  await tab.call('open', hub.endpoint, OTHER);
  await tab.download([WEIGHTS]);
  await tab.call('close');
}

test.afterEach(async ({ tab }) => setQuota(tab, null));

test('too little room: quota_exceeded before the first byte, with the numbers', async ({ tab, hub }) => {
  await setQuota(tab, 3_000_000);
  const error = await tab.downloadFails('quota_exceeded');
  expect(error.detail).toMatchObject({ neededBytes: TOTAL_BYTES, evictable: [] });
  expect(error.detail['freeBytes']).toBeLessThanOrEqual(3_000_000);
  expect(hub.requests.entries.filter((request) => request.kind === 'content')).toEqual([]);
});

test('the least recently used model makes room, a pinned one does not', async ({ tab, hub }) => {
  await loadOther(tab, hub);
  await tab.call('open', hub.endpoint, MODEL);
  await setQuota(tab, 4_000_000);

  await tab.call('pin', { modelId: OTHER }, true);
  const refused = await tab.downloadFails('quota_exceeded');
  expect(refused.detail).toMatchObject({ neededBytes: TOTAL_BYTES, evictable: [] });
  expect((await tab.call('list')).map((entry) => entry.modelId)).toContain(OTHER);

  await tab.call('pin', { modelId: OTHER }, false);
  const { summary } = await tab.download();
  expect(summary).toMatchObject({ notices: [expect.stringContaining(OTHER)] });
  await tab.expectOriginals(hub);
  expect((await tab.call('list')).map((entry) => entry.modelId)).toEqual([MODEL]);
});

test('a model that another tab uses is not evicted', async ({ tab, hub, openTab }) => {
  await loadOther(tab, hub);
  const user = await openTab();
  await user.call('close');
  await user.call('open', hub.endpoint, OTHER);
  await tab.call('open', hub.endpoint, MODEL);
  await setQuota(tab, 4_000_000);
  const error = await tab.downloadFails('quota_exceeded');
  expect(error.detail).toMatchObject({ evictable: [{ modelId: OTHER }] });
  expect(await user.call('hashBlob', WEIGHTS)).toHaveLength(64);
});

test('a quota that shrinks in mid-write loses nothing that was written', async ({ tab, hub }) => {
  hub.setThrottle({ bytesPerSecond: 5_000_000 });
  const running = tab.call('download', SHARDS);
  await expect.poll(async () => (await tab.call('status', SHARDS))[0]?.cachedBytes ?? 0).toBeGreaterThan(500_000);
  await setQuota(tab, 300_000);
  expect((await running).error).toMatchObject({ code: 'quota_exceeded', stage: 'fetch' });
  await tab.expectQuiet();
  await setQuota(tab, null);
  hub.setThrottle({});
  const kept = (await tab.call('status', SHARDS)).reduce((sum, file) => sum + file.cachedBytes, 0);
  expect(kept).toBeGreaterThan(500_000);
  const { summary } = await tab.download();
  expect(summary).toMatchObject({ cachedBytes: kept, networkBytes: TOTAL_BYTES - kept });
  await tab.expectOriginals(hub);
});

test('list, delete, prune', async ({ tab, hub }) => {
  await loadOther(tab, hub);
  await tab.call('open', hub.endpoint, MODEL);
  await tab.call('readRange', SHARDS[0] ?? '', 0, 1000);
  await tab.call('readAll', 'config.json');
  const entries = await tab.call('list');
  const other = entries.find((entry) => entry.modelId === OTHER);
  expect(other).toMatchObject({
    complete: true,
    pinned: false,
    sizeBytes: 4_000_000,
    ownBytes: 4_000_000,
    revisions: ['main'],
  });
  const partial = entries.find((entry) => entry.modelId === MODEL);
  expect(partial?.files).toHaveLength(2);
  expect(partial?.sizeBytes).toBe(1000 + 23);

  // In use by this very tab: stays.
  expect((await tab.call('remove', [{ modelId: MODEL }])).inUse).toHaveLength(1);
  await tab.call('close');
  expect((await tab.call('prune', [{ modelId: MODEL }])).deleted).toHaveLength(1);
  expect((await tab.call('list')).map((entry) => entry.modelId)).toEqual([MODEL]);
  expect((await tab.call('listFiles')).blobs).toBe(1);
  await tab.call('removeAll');
  expect(await tab.call('listFiles')).toEqual({ blobs: 0, partial: 0 });
  expect(await tab.call('list')).toEqual([]);
});

test('revisions share blobs: deleting one keeps what the other needs', async ({ tab, hub }) => {
  await tab.download();
  const before = hub.commitOf(MODEL).sha;
  await hub.push(MODEL, 'main', {
    files: Object.fromEntries(
      SHARDS.map((path, index) => [
        path,
        { synthetic: { seed: index === 0 ? 77 : index + 1, sizeBytes: [3_000_017, 2_500_003, 1_000_001][index] ?? 0 } },
      ]),
    ),
  });
  await tab.call('close');
  await tab.call('open', hub.endpoint, MODEL);
  const { summary } = await tab.download();
  expect(summary).toMatchObject({ networkBytes: 3_000_017, cachedBytes: 3_500_004 });
  await tab.expectOriginals(hub);
  expect((await tab.call('listFiles')).blobs).toBe(4);
  await tab.call('remove', [{ modelId: MODEL, commit: before }]);
  expect((await tab.call('listFiles')).blobs).toBe(3);
  await tab.expectOriginals(hub);
});

test('verify finds a damaged blob and drops it; the next load fetches only that', async ({ tab, hub }) => {
  await tab.download();
  expect(await tab.call('verify', { modelId: MODEL })).toMatchObject({ checkedFiles: 3, damaged: [] });
  await tab.call('damage', SHARDS[1] ?? '', 1_000_000);
  const result = await tab.call('verify', { modelId: MODEL });
  expect(result.damaged).toMatchObject([{ path: SHARDS[1] }]);
  const { summary } = await tab.download();
  expect(summary).toMatchObject({ networkBytes: 2_500_003 });
  await tab.expectOriginals(hub);
});

test.describe('the same commit from a hub and from its mirror', () => {
  test('crosses the network once; two snapshots, each listed, pinned and deleted by itself', async ({ tab, hub }) => {
    const mirror = await startTestHub();
    try {
      await tab.download();
      await tab.call('close');
      await tab.call('open', mirror.endpoint, MODEL);
      expect((await tab.download()).summary).toMatchObject({ networkBytes: 0, cachedBytes: TOTAL_BYTES });
      expect(sentBytes(mirror)).toBe(0);
      const both = { commit: hub.commitOf(MODEL).sha, revisions: ['main'], complete: true, ownBytes: 0, pinned: false };
      expect(await tab.call('list')).toMatchObject([
        { ...both, endpoint: mirror.endpoint },
        { ...both, endpoint: hub.endpoint },
      ]);

      await tab.call('close');
      await tab.call('pin', { modelId: MODEL, endpoint: hub.endpoint }, true);
      expect((await tab.call('prune', [])).deleted).toEqual([expect.stringContaining(mirror.endpoint)]);
      expect(await tab.call('list')).toMatchObject([
        { endpoint: hub.endpoint, complete: true, pinned: true, ownBytes: TOTAL_BYTES },
      ]);
      expect((await tab.call('listFiles')).blobs).toBe(SHARDS.length);
      expect((await tab.call('remove', [{ modelId: MODEL, endpoint: mirror.endpoint }])).deleted).toEqual([]);
      expect((await tab.call('remove', [{ modelId: MODEL }])).deleted).toHaveLength(1);
      expect((await tab.call('listFiles')).blobs).toBe(0);
    } finally {
      await mirror.close();
    }
  });

  test('what a pinned snapshot shares is not counted as room: nothing is evicted in vain', async ({ tab, hub }) => {
    const mirror = await startTestHub();
    try {
      for (const { endpoint } of [hub, mirror]) {
        await tab.call('open', endpoint, MODEL);
        await tab.download();
        await tab.call('close');
      }
      await tab.call('pin', { modelId: MODEL, endpoint: hub.endpoint }, true);
      await hub.addRepository(OTHER, {
        main: { files: { [WEIGHTS]: { synthetic: { seed: 9, sizeBytes: 4_000_000 } } } },
      });
      await tab.call('open', hub.endpoint, OTHER);
      await setQuota(tab, 2_000_000);
      await tab.downloadFails('quota_exceeded', [WEIGHTS]);
      const endpoints = (await tab.call('list'))
        .filter(({ modelId }) => modelId === MODEL)
        .map((entry) => entry.endpoint);
      expect(endpoints.sort()).toEqual([hub.endpoint, mirror.endpoint].sort());
    } finally {
      await mirror.close();
    }
  });
});
