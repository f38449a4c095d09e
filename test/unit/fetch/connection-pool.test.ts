import { describe, expect, it } from 'vitest';
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
  const pool = new ConnectionPool(() => 3).openShare(3);
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
  const pool = new ConnectionPool(() => limit.now).openShare(3);
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
  const pool = new ConnectionPool(() => 1).openShare(2);
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

describe('the shares of several loads', () => {
  const settle = (): Promise<void> => new Promise((resolve) => setTimeout(resolve));

  it('take turns, the one with the fewest requests first, in order within each', () => {
    const log: string[] = [];
    const pool = new ConnectionPool(() => 4);
    const large = pool.openShare(6);
    const small = pool.openShare(6);
    large.join(makeSource('large 1', log, 2));
    large.join(makeSource('large 2', log, 9));
    large.kick();
    expect(log).toEqual(['large 1 bulk', 'large 1 bulk', 'large 2 bulk', 'large 2 bulk']);
    small.join(makeSource('small', log, 9));
    small.kick();
    expect(log.slice(4), 'has one at once, though the line has enough of them').toEqual(['small bulk']);
  });

  it('alternate where there is one connection for both', async () => {
    const log: string[] = [];
    const pool = new ConnectionPool(() => 1);
    const sources = ['a', 'b'].map((name) => makeSource(name, log, 3));
    for (const source of sources) pool.openShare(1).join(source);
    pool.kick();
    for (let turn = 0; turn < 5; turn++) {
      for (const { ends } of sources) ends.shift()?.();
      await settle();
    }
    expect(log).toEqual(['a', 'b', 'a', 'b', 'a', 'b'].map((name) => `${name} bulk`));
  });

  it('have the limits that each load was tuned to, and all of them no more than the largest has', () => {
    const log: string[] = [];
    const pool = new ConnectionPool(() => 100);
    const modest = pool.openShare(1);
    const greedy = pool.openShare(4);
    modest.join(makeSource('modest', log, 9, 1));
    greedy.join(makeSource('greedy', log, 9));
    pool.kick();
    expect(log.toSorted()).toEqual(['greedy bulk', 'greedy bulk', 'greedy bulk', 'modest urgent']);
    expect(pool.most).toBe(4);
    greedy.close();
    expect(pool.most, 'what one load was tuned to ends with it').toBe(1);
  });

  it('are asked for nothing once they are closed', async () => {
    const log: string[] = [];
    const pool = new ConnectionPool(() => 1);
    const [ended, other] = [pool.openShare(2), pool.openShare(2)];
    const source = makeSource('ended', log, 9);
    ended.join(source);
    ended.kick();
    ended.close();
    other.join(makeSource('other', log, 1));
    source.ends[0]?.();
    await settle();
    expect(log).toEqual(['ended bulk', 'other bulk']);
  });
});
