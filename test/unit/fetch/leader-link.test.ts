/**
 * What tabs ask of the one that leads: over a real BroadcastChannel, as between two workers.
 */
import { afterEach, expect, test, vi } from 'vitest';
import { LoadError } from '../../../src/contract/errors.ts';
import { BlobChannel } from '../../../src/pipeline/fetch/blob-channel.ts';
import { openLeaderLink } from '../../../src/pipeline/fetch/leader-link.ts';
import { WantList } from '../../../src/pipeline/fetch/want-list.ts';

const KEY = 'sha256-x';
const closers: (() => void)[] = [];

afterEach(() => {
  for (const close of closers.splice(0)) close();
});

function openTab(isLeading: boolean): { channel: BlobChannel; wants: WantList; changes: () => number } {
  const channel = new BlobChannel();
  const wants = new WantList();
  let changes = 0;
  const stop = openLeaderLink({
    channel,
    key: KEY,
    sizeBytes: 1_000,
    wants,
    isLeading: () => isLeading,
    onProgress: () => undefined,
    onChange: () => changes++,
  });
  closers.push(stop, () => channel.close());
  return { channel, wants, changes: () => changes };
}

/** A busy machine takes its time to pass a message on. */
const PATIENTLY = { timeout: 60_000 };

test('a range that another tab asks for again and again is one want, answered once, and can be asked for anew', async () => {
  const leader = openTab(true);
  const follower = openTab(false);
  const bytes = follower.wants.want(
    { kind: 'range', start: 10, end: 20 },
    new AbortController().signal,
    () => undefined,
  );
  // The follower asks by itself, too; a message of another range shows that those before it have come.
  for (let times = 0; times < 5; times++) follower.channel.sendNeed(KEY, 10, 20);
  follower.channel.sendNeed(KEY, 0, 1);
  await vi.waitFor(() => expect(leader.wants.of('range').some(({ start }) => start === 0)).toBe(true), PATIENTLY);
  expect(leader.wants.of('range').map(({ start, end }) => [start, end])).toEqual([
    [10, 20],
    [0, 1],
  ]);

  leader.wants.serve(({ start, end }) => new Uint8Array(end - start).fill(7));
  expect(await bytes).toEqual(new Uint8Array(10).fill(7));
  expect(leader.wants.isEmpty).toBe(true);
  follower.channel.sendNeed(KEY, 10, 20);
  await vi.waitFor(() => expect(leader.wants.of('range')).toHaveLength(1), PATIENTLY);
});

test('a want that failed here can be asked for again', async () => {
  const leader = openTab(true);
  const follower = openTab(false);
  const ask = async (): Promise<void> => {
    follower.channel.sendNeed(KEY, 10, 20);
    await vi.waitFor(() => expect(leader.wants.of('range')).toHaveLength(1), PATIENTLY);
  };
  await ask();
  leader.wants.rejectAll(new LoadError('network_unreachable'));
  await ask();
});
