import { describe, expect, it } from 'vitest';
import { countListeners } from './count-listeners.ts';
import { raceAbort, sleep } from '../../../src/base/abort.ts';
import { forEachConcurrent, Semaphore } from '../../../src/base/concurrency.ts';

describe('forEachConcurrent', () => {
  it('runs at most `limit` at a time and everything once', async () => {
    let running = 0;
    let most = 0;
    const done: number[] = [];
    await forEachConcurrent([...Array(20).keys()], 3, async (item) => {
      most = Math.max(most, ++running);
      await sleep(1);
      running--;
      done.push(item);
    });
    expect(most).toBe(3);
    expect(done.sort((a, b) => a - b)).toEqual([...Array(20).keys()]);
  });

  it('throws the first failure after everything that was running has settled, and starts nothing more', async () => {
    const started: number[] = [];
    let settled = 0;
    await expect(
      forEachConcurrent([0, 1, 2, 3, 4, 5], 2, async (item) => {
        started.push(item);
        await sleep(item === 1 ? 1 : 10);
        settled++;
        if (item === 1) throw new Error('one');
      }),
    ).rejects.toThrow('one');
    expect(started).toEqual([0, 1]);
    expect(settled).toBe(2);
  });
});

describe('Semaphore', () => {
  it('serves waiters in order and frees its permit on failure', async () => {
    const semaphore = new Semaphore(1);
    const order: string[] = [];
    const first = semaphore.use(async () => {
      await sleep(5);
      order.push('first');
      throw new Error('x');
    });
    const second = semaphore.use(() => Promise.resolve(order.push('second')));
    await expect(first).rejects.toThrow('x');
    await second;
    expect(order).toEqual(['first', 'second']);
  });

  it('lets a waiter leave by its signal, and passes no permit to it', async () => {
    const semaphore = new Semaphore(1);
    const controller = new AbortController();
    const first = semaphore.use(() => sleep(5));
    const leaving = semaphore.use(() => Promise.resolve('never'), controller.signal);
    const last = semaphore.use(() => Promise.resolve('last'));
    controller.abort();
    await expect(leaving).rejects.toMatchObject({ code: 'aborted' });
    await first;
    expect(await last).toBe('last');
  });

  it('keeps its permits when a signal fires in the moment in which one is passed on', async () => {
    const semaphore = new Semaphore(1);
    const controller = new AbortController();
    let finish: () => void = () => {};
    const first = semaphore.use(() => new Promise<void>((resolve) => (finish = resolve)));
    const leaving = semaphore.use(() => Promise.resolve('either'), controller.signal);
    finish();
    await first;
    controller.abort();
    await leaving.catch(() => undefined);
    expect(await semaphore.use(() => Promise.resolve('free'))).toBe('free');
  });
});

describe('raceAbort', () => {
  it('rejects with the reason as cause and leaves no listener on a signal that lives on', async () => {
    const controller = new AbortController();
    const { signal } = controller;
    const listeners = countListeners(signal);
    for (let round = 0; round < 100; round++) await raceAbort(Promise.resolve(round), signal);
    expect(listeners()).toBe(0);
    const waiting = raceAbort(new Promise(() => {}), signal);
    controller.abort(new Error('reason'));
    await expect(waiting).rejects.toMatchObject({ code: 'aborted', cause: { message: 'reason' } });
    expect(listeners()).toBe(0);
  });
});
