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
});
