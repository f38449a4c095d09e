/**
 * A host that limits how often it may be asked: the page waits as it is told, all requests of it do, and says until when.
 */
import type { FaultRule } from '../../hub/index.ts';
import { expect, SHARDS, test } from './fixture.ts';

function limit(seconds: number, times: number): FaultRule {
  const headers = {
    RateLimit: `"resolvers";r=0;t=${seconds}`,
    'RateLimit-Policy': '"fixed window";"resolvers";q=5;w=300',
  };
  return { kinds: ['resolve'], fault: { type: 'status', status: 429, headers, exposed: true }, times };
}

test('ranges wait as told, and nothing else is asked of the host meanwhile', async ({ tab, hub }) => {
  const rule = hub.misbehave(limit(2, 6));
  const [path = ''] = SHARDS;
  await tab.download([path]);
  const asked = hub.requests.find({ kind: 'resolve', file: path }).filter(({ method }) => method === 'GET');
  const [refused, ...later] = asked;
  // Other ranges may have been under way together with the one that was refused.
  const afterwards = later.filter(({ startedAtMs }) => startedAtMs > (refused?.endedAtMs ?? 0) + 100);
  expect(rule.used).toBe(6);
  expect(afterwards.length).toBeGreaterThan(0);
  for (const { startedAtMs } of afterwards) expect(startedAtMs - (refused?.startedAtMs ?? 0)).toBeGreaterThan(2_900);
  const notices = await tab.call('notices');
  expect(notices.length).toBeGreaterThan(0);
  expect(notices.length).toBeLessThan(rule.used); // requests side by side are told the same, and it is said once
  for (const notice of notices) expect(notice).toMatch(/127\.0\.0\.1:\d+ asks to wait until \d\d:\d\d:\d\d/u);
  await tab.expectOriginals(hub, [path]);
});

test('a wait of minutes is cancelled at once', async ({ tab, hub }) => {
  hub.misbehave(limit(300, Infinity));
  const running = tab.call('download', SHARDS);
  await expect.poll(async () => (await tab.call('notices')).length).toBeGreaterThan(0);
  await tab.call('cancel');
  expect((await running).error).toMatchObject({ code: 'aborted' });
  await tab.expectQuiet();
  // One request a file at most: nobody asks again of a host that is waited for.
  expect(hub.requests.find({ kind: 'resolve' }).length).toBeLessThanOrEqual(6);
  hub.behave();
});

test('who would have to wait for an hour is told when to come back', async ({ tab, hub }) => {
  hub.misbehave(limit(3_600, Infinity));
  const error = await tab.downloadFails('rate_limited');
  expect(error).toMatchObject({
    retryable: true,
    detail: { status: 429, retryAfterMs: 3_601_000, origin: hub.endpoint },
  });
  expect(error.message).toMatch(/asks to wait until .*\d\d:\d\d:\d\d/u);
});

test('hidden from pages: the wait is ten times that of other failures, and said', async ({ tab, hub }) => {
  await tab.call('dispose');
  await tab.call('start', { firstDelayMs: 100, maxDelayMs: 100 });
  await tab.call('open', hub.endpoint, 'tests/shards');
  const fault = { type: 'status', status: 429, retryAfterSeconds: 9 } as const;
  const rule = hub.misbehave({ kinds: ['resolve'], fault, times: 6 });
  const [path = ''] = SHARDS;
  await tab.download([path]);
  expect(rule.used).toBe(6);
  const [refused, ...later] = hub.requests.find({ kind: 'resolve', file: path });
  const afterwards = later.filter(({ startedAtMs }) => startedAtMs > (refused?.endedAtMs ?? 0) + 100);
  expect(afterwards.length).toBeGreaterThan(0);
  for (const { startedAtMs } of afterwards) expect(startedAtMs - (refused?.startedAtMs ?? 0)).toBeGreaterThan(450);
  expect((await tab.call('notices'))[0]).toMatch(/does not say until when.* Trying again in /u);
});
