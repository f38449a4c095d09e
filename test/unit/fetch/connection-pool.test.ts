import { expect, it } from 'vitest';
import { ConnectionPool, type RequestSource } from '../../../src/pipeline/fetch/connection-pool.ts';

/** A source with so many requests, which end when they are told to. */
function makeSource(
  name: string,
  log: string[],
  bulk: number,
  urgent = 0,
): RequestSource & { ends: (() => void)[]; nearlyEnds: (() => void)[] } {
  const left = { bulk, urgent };
  const ends: (() => void)[] = [];
  const nearlyEnds: (() => void)[] = [];
  return {
    ends,
    nearlyEnds,
    takeRequest: (urgency) => {
      if (left[urgency] === 0) return null;
      left[urgency]--;
      return (onEnding) => {
        nearlyEnds.push(onEnding);
        log.push(`${name} ${urgency}`);
        return new Promise((resolve) => ends.push(resolve));
      };
    },
  };
}

it('bounds the requests, urgent ones of any source first, then the bulk in order', async () => {
  const log: string[] = [];
  const pool = new ConnectionPool(3, () => 3);
  const first = makeSource('first', log, 3);
  const second = makeSource('second', log, 2, 1);
  pool.join(first);
  pool.join(second);
  pool.kick();
  expect(log).toEqual(['second urgent', 'first bulk', 'first bulk']);
  first.ends.shift()?.();
  await Promise.resolve();
  await new Promise((resolve) => setTimeout(resolve));
  expect(log.slice(3)).toEqual(['first bulk']);
  pool.leave(second);
  for (const end of [...first.ends, ...second.ends]) end();
  await new Promise((resolve) => setTimeout(resolve));
  expect(log).toHaveLength(4);
});

it('lets bulk have as many connections as the line needs, and an urgent range one more', async () => {
  const log: string[] = [];
  const limit = { now: 1 };
  const pool = new ConnectionPool(3, () => limit.now);
  const bulk = makeSource('bulk', log, 4);
  const urgent = makeSource('header', log, 0, 1);
  pool.join(bulk);
  pool.kick();
  expect(log).toEqual(['bulk bulk']);
  pool.join(urgent);
  pool.kick();
  expect(log.slice(1)).toEqual(['header urgent']);
  limit.now = 3;
  pool.kick();
  expect(log.slice(2)).toEqual(['bulk bulk']);
  limit.now = 1;
  bulk.ends.shift()?.();
  await new Promise((resolve) => setTimeout(resolve));
  expect(log).toHaveLength(3);
});

it('sends the next request before the last one has ended, but never more than there may be', async () => {
  const log: string[] = [];
  const pool = new ConnectionPool(2, () => 1);
  const source = makeSource('bulk', log, 4);
  pool.join(source);
  pool.kick();
  expect(log).toHaveLength(1);
  source.nearlyEnds[0]?.();
  source.nearlyEnds[0]?.();
  expect(log).toHaveLength(2);
  source.nearlyEnds[1]?.();
  expect(log).toHaveLength(2);
  source.ends[0]?.();
  await new Promise((resolve) => setTimeout(resolve));
  expect(log).toHaveLength(3);
  source.nearlyEnds[0]?.();
  for (const end of source.ends) end();
  await new Promise((resolve) => setTimeout(resolve));
  expect(log).toHaveLength(4);
});
