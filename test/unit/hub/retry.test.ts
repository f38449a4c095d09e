import { describe, expect, test } from 'vitest';
import { retry } from '../../../src/base/retry.ts';
import { LoadError } from '../../../src/contract/errors.ts';
import { parseNextLink } from '../../../src/hub/link-header.ts';

const transient = (detail = {}) => new LoadError('http_status', { retryable: true, detail });
const quick = { baseDelayMs: 1, maxDelayMs: 2 };

describe('retry', () => {
  test('succeeds when the work does; waits grow, with jitter below their bound', async () => {
    const delays: number[] = [];
    let calls = 0;
    const work = () => (++calls < 5 ? Promise.reject(transient()) : Promise.resolve('done'));
    const options = {
      baseDelayMs: 8,
      maxDelayMs: 30,
      random: () => 0.999,
      onRetry: (failure: { delayMs: number }) => delays.push(failure.delayMs),
    };
    expect(await retry(work, options)).toBe('done');
    expect(delays.map(Math.round)).toEqual([8, 16, 30, 30]);
  });

  test('ends after so many attempts, with the last error; what is not transient ends at once', async () => {
    let calls = 0;
    const count = (error: LoadError) => () => {
      calls++;
      return Promise.reject(error);
    };
    await expect(retry(count(transient()), { ...quick, attempts: 3 })).rejects.toMatchObject({ code: 'http_status' });
    expect(calls).toBe(3);
    calls = 0;
    await expect(retry(count(new LoadError('integrity_mismatch')), quick)).rejects.toThrow();
    expect(calls).toBe(1);
  });

  test('progress starts the count over', async () => {
    let calls = 0;
    const work = ({ madeProgress }: { madeProgress: () => void }) => {
      if (++calls <= 10) madeProgress();
      return Promise.reject(transient());
    };
    await expect(retry(work, { ...quick, attempts: 3 })).rejects.toThrow();
    // The tenth failure is the first without progress after it.
    expect(calls).toBe(12);
  });

  test('waits as the server says, but not for hours', async () => {
    let calls = 0;
    const work = () => (++calls === 1 ? Promise.reject(transient({ retryAfterMs: 60 })) : Promise.resolve(1));
    const before = performance.now();
    await retry(work, quick);
    expect(performance.now() - before).toBeGreaterThan(55);
    await expect(retry(() => Promise.reject(transient({ retryAfterMs: 1e9 })), quick)).rejects.toThrow();
  });

  test('an abort ends a wait; `online` shortens it; no listener stays', async () => {
    const events = new EventTarget();
    let listeners = 0;
    const counting = new Proxy(events, {
      get(target, key) {
        if (key === 'addEventListener') listeners++;
        if (key === 'removeEventListener') listeners--;
        const value: unknown = Reflect.get(target, key);
        return typeof value === 'function' ? (value.bind(target) as unknown) : value;
      },
    });
    const slow = { baseDelayMs: 60_000, maxDelayMs: 60_000, onlineEvents: counting };
    const never = () => Promise.reject(transient());
    await expect(retry(never, { ...slow, signal: AbortSignal.timeout(30) })).rejects.toMatchObject({ code: 'aborted' });
    let calls = 0;
    setTimeout(() => events.dispatchEvent(new Event('online')), 30);
    await retry(() => (++calls === 1 ? never() : Promise.resolve()), slow);
    expect([calls, listeners]).toEqual([2, 0]);
  });

  test('a server that asks to be asked less often and names no time is given five minutes in all', async () => {
    const delays: number[] = [];
    const limited = () => Promise.reject(new LoadError('rate_limited', { retryable: true }));
    const abort = new AbortController();
    const never = retry(limited, {
      signal: abort.signal,
      attempts: 4,
      random: () => 0,
      // Each wait is told and then skipped: the clock is not what is tested.
      onRetry: ({ delayMs }) => delays.push(delayMs),
      wait: () => Promise.resolve(),
    });
    await expect(never).rejects.toMatchObject({ code: 'rate_limited' });
    expect(delays[0]).toBeGreaterThan(2_000);
    expect(delays.reduce((sum, delay) => sum + delay, 0)).toBeGreaterThanOrEqual(300_000);
  });

  test('no wait for a server is longer than the bound, be it told or not', async () => {
    for (const detail of [{ retryAfterMs: 2_500 }, {}]) {
      let calls = 0;
      const limited = () => {
        calls++;
        return Promise.reject(new LoadError('rate_limited', { retryable: true, detail }));
      };
      await expect(retry(limited, { maxServerDelayMs: 2_000 })).rejects.toMatchObject({ code: 'rate_limited' });
      expect(calls).toBe(1);
    }
  });
});

test.each([
  [null, null],
  ['<https://h/a?x=1&y=2>; rel="next"', 'https://h/a?x=1&y=2'],
  ['<https://h/a>;rel=next', 'https://h/a'],
  ['<https://h/p>; rel="prev", <https://h/n>; title="a, b; c"; rel="last next"', 'https://h/n'],
  // As the hub lists its links where large files are kept in chunks.
  ['<https://h/xet>; rel="xet-auth", <https://h/n?cursor=a>; rel="next"', 'https://h/n?cursor=a'],
  ['<https://h/xet>; rel="xet-auth"', null],
  ['</api?cursor=Q%3D>; rel="next"', 'https://base/api?cursor=Q%3D'],
  ['<https://h/a>; rel="prev"', null],
  ['<https://h/a>', null],
  ['nonsense', null],
])('next link of %j', (header, expected) => {
  expect(parseNextLink(header, 'https://base/x/y')).toBe(expected);
});
