import { describe, expect, it } from 'vitest';
import { TokenQueue } from '../../../src/client/token-queue.ts';

const collect = async <T>(queue: TokenQueue<T>): Promise<T[]> => {
  const items: T[] = [];
  for await (const item of queue) items.push(item);
  return items;
};

describe('TokenQueue', () => {
  it('delivers what was pushed before and while the consumer waits, in order', async () => {
    const queue = new TokenQueue<number>(() => {});
    queue.push(1);
    const collected = collect(queue);
    await Promise.resolve();
    queue.push(2);
    queue.push(3);
    queue.finish();
    queue.push(4);
    expect(await collected).toEqual([1, 2, 3]);
  });

  it('delivers what is queued, then throws, then is done', async () => {
    const queue = new TokenQueue<number>(() => {});
    queue.push(1);
    queue.fail(new Error('x'));
    expect(await queue.next()).toEqual({ done: false, value: 1 });
    await expect(queue.next()).rejects.toThrow('x');
    expect((await queue.next()).done).toBe(true);
  });

  it('tells the producer once when the consumer leaves early, and not after the end', async () => {
    let left = 0;
    const queue = new TokenQueue<number>(() => left++);
    queue.push(1);
    for await (const _ of queue) break;
    expect(left).toBe(1);
    const finished = new TokenQueue<number>(() => left++);
    finished.finish();
    await collect(finished);
    await finished.return();
    expect(left).toBe(1);
  });

  it('settles every next() that waits, in order, when the consumer leaves, the producer ends, or fails', async () => {
    const done = { done: true, value: undefined };
    const left = new TokenQueue<number>(() => {});
    const waiting = [left.next(), left.next()];
    await left.return();
    expect(await Promise.all(waiting)).toEqual([done, done]);

    const finished = new TokenQueue<number>(() => {});
    const calls = [finished.next(), finished.next(), finished.next()];
    finished.push(1);
    finished.finish();
    expect(await Promise.all(calls)).toEqual([{ done: false, value: 1 }, done, done]);

    const failed = new TokenQueue<number>(() => {});
    const outcomes = Promise.allSettled([failed.next(), failed.next()]);
    const error = new Error('x');
    failed.fail(error);
    expect(await outcomes).toEqual([
      { status: 'rejected', reason: error },
      { status: 'fulfilled', value: done },
    ]);
  });

  it('delivers items that are undefined', async () => {
    const queue = new TokenQueue<undefined>(() => {});
    queue.push(undefined);
    queue.finish();
    expect(await collect(queue)).toEqual([undefined]);
  });
});
