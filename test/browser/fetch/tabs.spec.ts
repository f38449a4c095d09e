/**
 * Several tabs of one origin: each byte crosses the network once, whoever goes away.
 */
import { expect, QUICK, sentBytes, SHARDS, test, TOTAL_BYTES } from './fixture.ts';

for (const count of [2, 5]) {
  test(`${count} tabs at once: every byte crosses the network once${count > 2 ? ' @long' : ''}`, async ({
    tab,
    openTab,
    hub,
  }) => {
    const tabs = [tab];
    while (tabs.length < count) tabs.push(await openTab());
    hub.setThrottle({ bytesPerSecond: 10_000_000 });
    const path = SHARDS[0] ?? '';
    // As a load does it: headers first, then everything.
    await Promise.all(tabs.map((each) => each.call('readRange', path, 0, 8)));
    const outcomes = await Promise.all(tabs.map((each) => each.download()));
    expect(sentBytes(hub)).toBe(TOTAL_BYTES);
    const sum = outcomes.reduce(
      (total, outcome) => total + (outcome.summary as { networkBytes: number }).networkBytes,
      0,
    );
    expect(sum).toBe(TOTAL_BYTES - 8);
    for (const each of tabs) await each.expectOriginals(hub);
  });
}

test('a tab that waits hears the progress of the one that leads, and gets small ranges from it', async ({
  tab,
  openTab,
  hub,
}) => {
  const follower = await openTab();
  hub.setThrottle({ bytesPerSecond: 3_000_000 });
  const leading = tab.download();
  await expect.poll(() => sentBytes(hub)).toBeGreaterThan(500_000);
  const header = follower.call('readRange', SHARDS[0] ?? '', 0, 1000);
  const following = follower.download();
  await header;
  expect(sentBytes(hub)).toBeLessThan(TOTAL_BYTES / 2);
  await leading;
  const { progress, summary } = await following;
  expect(progress.filter((item) => item.doneBytes > 0).length).toBeGreaterThan(3);
  expect(summary).toMatchObject({ networkBytes: 0 });
  expect(sentBytes(hub)).toBe(TOTAL_BYTES);
  await follower.expectOriginals(hub);
});

for (const way of ['closed', 'cancelled', 'killed worker'] as const) {
  test(`the leader goes away half-way (${way}): the other completes from there`, async ({ tab, openTab, hub }) => {
    const leader = await openTab();
    hub.setThrottle({ bytesPerSecond: 5_000_000 });
    const leading = leader.call('download', SHARDS).catch(() => null);
    await expect.poll(() => sentBytes(hub)).toBeGreaterThan(1_000_000);
    const following = tab.download();
    await expect.poll(() => sentBytes(hub)).toBeGreaterThan(3_000_000);
    if (way === 'closed') await leader.page.close();
    else if (way === 'cancelled') await leader.call('cancel');
    else await leader.call('killFetchWorker');
    await following;
    await leading;
    await tab.expectOriginals(hub);
    // At most one range a connection twice, and what sat in sockets.
    expect(sentBytes(hub)).toBeLessThan(TOTAL_BYTES + 6 * (QUICK.rangeBytes ?? 0) + 600_000);
  });
}

test('two downloads of one tab share the transfer; one of them cancelled ends at once and does not hurt the other', async ({
  tab,
  hub,
}) => {
  hub.setThrottle({ bytesPerSecond: 2_500_000 });
  const first = tab.call('download', SHARDS);
  await expect.poll(() => sentBytes(hub)).toBeGreaterThan(500_000);
  const cancelled = tab.call('cancel');
  const second = tab.download();
  await cancelled;
  expect((await first).error).toMatchObject({ code: 'aborted' });
  expect(sentBytes(hub)).toBeLessThan(TOTAL_BYTES / 2);
  hub.setThrottle({});
  expect((await second).summary).toMatchObject({ totalBytes: TOTAL_BYTES });
  await tab.expectOriginals(hub);
});
