import * as Comlink from 'comlink';
import { beforeEach, describe, expect, it, vi } from 'vitest';
import { FetchHost } from '../../../src/client/fetch-host.ts';
import { LoadError } from '../../../src/contract/errors.ts';
import type { FetchWorkerApi } from '../../../src/contract/worker-api.ts';
import { FakeWorker } from './fake-worker.ts';

/** What the fetch workers were told. */
let log: string[];
let host: FetchHost;
const onEnd = vi.fn();

beforeEach(() => {
  log = [];
  onEnd.mockClear();
  const api: FetchWorkerApi = {
    connect: (id, port) => {
      log.push(`connect ${id}`);
      Comlink.expose({ greet: () => `connection ${id}` }, port);
    },
    disconnect: async (id) => void log.push(`disconnect ${id}`),
    shutDown: async () => void log.push('shut down'),
  };
  FakeWorker.reset({}, api);
  host = new FetchHost({
    namePrefix: 'test:',
    start: (name) => new FakeWorker(new URL('https://a.test/'), { name }) as unknown as Worker,
    explain: ({ message }) => new LoadError('worker_died', { stage: 'fetch', message, retryable: true }),
  });
});

const greet = async (port: MessagePort): Promise<string> => {
  const answer = await Comlink.wrap<{ greet(): string }>(port).greet();
  port.close();
  return answer;
};
const ended = (): readonly boolean[] => FakeWorker.fetchers.map(({ terminated }) => terminated);

describe('one fetch worker for all model workers of a page', () => {
  it('starts with the first who needs it, serves each over a way of its own, and ends with the last', async () => {
    expect(FakeWorker.fetchers).toEqual([]);
    const letGo = host.hold();
    const doors = [host.openDoor(), host.openDoor()];
    const ways = await Promise.all(doors.map((door) => door.open(onEnd)));
    expect(await Promise.all(ways.map(({ port }) => greet(port)))).toEqual(['connection 1', 'connection 2']);
    await letGo();
    await letGo();
    await doors[0]?.close(1);
    expect(ended()).toEqual([false]);
    await doors[1]?.close(2);
    expect(ended()).toEqual([true]);
    expect(log).toEqual(['connect 1', 'connect 2', 'disconnect 1', 'disconnect 2', 'shut down']);
    expect(onEnd, 'nobody who has left is told anything').not.toHaveBeenCalled();
    await host.hold()();
    expect(ended()).toEqual([true, true]);
  });

  it('a model worker that ends takes its own ways with it, and no other', async () => {
    const [gone, other] = [host.openDoor(), host.openDoor()];
    await Promise.all([gone.open(onEnd), gone.open(onEnd), other.open(onEnd)]);
    gone.shut();
    await vi.waitFor(() => expect(log.slice(3)).toEqual(['disconnect 1', 'disconnect 2']));
    expect(ended()).toEqual([false]);
    await expect(gone.open(onEnd)).rejects.toMatchObject({ code: 'disposed' });
    await other.close(3);
    expect(ended()).toEqual([true]);
  });

  it('that dies tells every way why, and whoever comes next gets another one', async () => {
    const letGo = host.hold();
    const doors = [host.openDoor(), host.openDoor()];
    await Promise.all(doors.map((door) => door.open(onEnd)));
    FakeWorker.fetchers[0]?.fail('out of memory');
    expect(onEnd.mock.calls.map(([error]) => error as unknown)).toMatchObject([
      { code: 'worker_died', stage: 'fetch', retryable: true },
      { code: 'worker_died', stage: 'fetch', retryable: true },
    ]);
    const next = await doors[0]?.open(onEnd);
    expect(ended()).toEqual([true, false]);
    // Those who had the dead one end nothing of the living one.
    await letGo();
    await Promise.all([doors[0]?.close(1), doors[1]?.close(2)]);
    expect(ended()).toEqual([true, false]);
    await doors[0]?.close(next?.connection ?? 0);
    expect(ended()).toEqual([true, true]);
  });

  it('that cannot be started is said to whoever asks, and holds nothing', async () => {
    const opening = host.openDoor().open(onEnd);
    FakeWorker.fetchers[0]?.fail(); // before it answers
    await expect(opening).rejects.toMatchObject({ code: 'worker_died', stage: 'fetch' });
    await host.hold()();
    expect(ended()).toEqual([true, true]);
  });
});
