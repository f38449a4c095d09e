import { describe, expect, it } from 'vitest';
import type { LoadEvent } from '../../../src/contract/load.ts';
import { describeLoad } from '../../../src/ui/load-announcement.ts';
import {
  createLoadState,
  loadFraction,
  pauseLoad,
  reduceLoad,
  type LoadState,
} from '../../../src/ui/stores/load-reducer.ts';

const FEED: readonly LoadEvent[] = [
  { type: 'stageStart', stage: 'resolve', atMs: 0 },
  { type: 'stageEnd', stage: 'resolve', atMs: 10, note: 'commit abc' },
  { type: 'stageStart', stage: 'fetch', atMs: 20 },
  { type: 'progress', stage: 'fetch', atMs: 90, doneBytes: 428, totalBytes: 1000, networkBytes: 428 },
  { type: 'stageStart', stage: 'fill', atMs: 91 },
];
const run = (...more: readonly LoadEvent[]): LoadState =>
  [...FEED, ...more].reduce(reduceLoad, createLoadState('loading'));
const states = (state: LoadState): Record<string, string> =>
  Object.fromEntries(state.rows.map((row) => [row.stage, row.state]));

describe('a paused load', () => {
  const paused = pauseLoad(run({ type: 'cancelled', atMs: 100 }));

  it('shows what stopped as paused, and how much is on disk', () => {
    expect(paused.phase).toBe('paused');
    expect(states(paused)).toMatchObject({ resolve: 'done', fetch: 'paused', fill: 'paused', place: 'waiting' });
    expect(paused.rows.find(({ stage }) => stage === 'fetch')?.note).toBe('paused, 42% on disk');
    expect(describeLoad(paused)).toBe('The load is paused, 42% on disk. Resume goes on from there.');
  });

  it('keeps the picture where it was, and is final', () => {
    expect(loadFraction(paused)).toBeGreaterThan(0);
    expect(reduceLoad(paused, { type: 'ready', atMs: 200 })).toBe(paused);
  });

  it('is said only of a load that was cancelled: one that failed or got ready first is what it is', () => {
    const ready = run({ type: 'ready', atMs: 100 });
    expect(pauseLoad(ready)).toBe(ready);
    const loading = run();
    expect(pauseLoad(loading)).toBe(loading);
  });
});
