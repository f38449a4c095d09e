import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { LoadError, STAGES, toErrorData, type Stage } from '../../../src/contract/errors.ts';
import type { LoadEvent } from '../../../src/contract/load.ts';
import {
  createLoadState,
  endPlanning,
  loadFraction,
  reduceLoad,
  rowFraction,
  rowRate,
  type LoadState,
  type StageRow,
} from '../../../src/ui/stores/load-reducer.ts';

function run(events: readonly LoadEvent[]): LoadState {
  return events.reduce(reduceLoad, createLoadState('loading'));
}

function rowOf(state: LoadState, stage: Stage): StageRow {
  const row = state.rows.find((candidate) => candidate.stage === stage);
  if (row === undefined) throw new Error(`no row for ${stage}`);
  return row;
}

function progress(stage: Stage, atMs: number, doneBytes: number, totalBytes: number): LoadEvent {
  return { type: 'progress', stage, atMs, doneBytes, totalBytes, networkBytes: doneBytes };
}

const error = toErrorData(new LoadError('network_unreachable', { stage: 'fetch', retryable: true }));

describe('a load as it should go', () => {
  const feed: readonly LoadEvent[] = [
    { type: 'stageStart', stage: 'resolve', atMs: 0 },
    { type: 'stageEnd', stage: 'resolve', atMs: 20, note: 'commit abc' },
    { type: 'stageStart', stage: 'fetch', atMs: 30 },
    progress('fetch', 40, 100, 1000),
    { type: 'stageStart', stage: 'fill', atMs: 41 },
    progress('fetch', 1030, 1000, 1000),
    { type: 'stageEnd', stage: 'fetch', atMs: 1030, note: null },
  ];

  it('has one row a stage, in pipeline order', () => {
    expect(run([]).rows.map((row) => row.stage)).toEqual([...STAGES]);
  });

  it('lets stages overlap and keeps their times', () => {
    const state = run(feed);
    expect(rowOf(state, 'resolve')).toMatchObject({ state: 'done', startMs: 0, endMs: 20, note: 'commit abc' });
    expect(rowOf(state, 'fetch')).toMatchObject({ state: 'done', startMs: 30, endMs: 1030, doneBytes: 1000 });
    expect(rowOf(state, 'fill')).toMatchObject({ state: 'running', startMs: 41, endMs: null });
    expect(rowOf(state, 'serve').state).toBe('waiting');
  });

  it('closes what still runs when the model is ready, and is then final', () => {
    const ready = run([...feed, { type: 'ready', atMs: 2000 }]);
    expect(ready.phase).toBe('ready');
    expect(rowOf(ready, 'fill')).toMatchObject({ state: 'done', endMs: 2000 });
    expect(loadFraction(ready)).toBe(1);
    expect(reduceLoad(ready, { type: 'cancelled', atMs: 2001 })).toBe(ready);
  });
});

describe('a load that ends early', () => {
  const begun: readonly LoadEvent[] = [
    { type: 'stageStart', stage: 'fetch', atMs: 0 },
    { type: 'stageStart', stage: 'fill', atMs: 1 },
    progress('fetch', 5, 10, 100),
  ];

  it('marks the stage that failed; what ran beside it was cancelled', () => {
    const state = run([...begun, { type: 'failed', error, atMs: 9 }]);
    expect(state).toMatchObject({ phase: 'failed', error: { code: 'network_unreachable' } });
    expect(rowOf(state, 'fetch')).toMatchObject({ state: 'failed', doneBytes: 10, endMs: 9 });
    expect(rowOf(state, 'fill').state).toBe('cancelled');
    expect(rowOf(state, 'place').state).toBe('waiting');
  });

  it('marks a stage that failed before it began', () => {
    const state = run([{ type: 'failed', error, atMs: 3 }]);
    expect(rowOf(state, 'fetch')).toMatchObject({ state: 'failed', startMs: 3, endMs: 3 });
  });

  it('blames everything that ran where no stage is named', () => {
    const state = run([...begun, { type: 'failed', error: { ...error, stage: null }, atMs: 9 }]);
    expect([rowOf(state, 'fetch').state, rowOf(state, 'fill').state]).toEqual(['failed', 'failed']);
  });

  it('marks what ran as cancelled', () => {
    const state = run([...begun, { type: 'cancelled', atMs: 9 }]);
    expect(state.phase).toBe('cancelled');
    expect([rowOf(state, 'fetch').state, rowOf(state, 'place').state]).toEqual(['cancelled', 'waiting']);
  });

  it('ignores events outside a load', () => {
    const idle = createLoadState();
    expect(reduceLoad(idle, { type: 'ready', atMs: 1 })).toBe(idle);
  });
});

describe('a load whose stages begin anew', () => {
  const feed: readonly LoadEvent[] = [
    { type: 'stageStart', stage: 'resolve', atMs: 0 },
    { type: 'stageEnd', stage: 'resolve', atMs: 10, note: 'commit abc' },
    { type: 'stageStart', stage: 'fetch', atMs: 20 },
    progress('fetch', 30, 100, 100),
    { type: 'stageEnd', stage: 'fetch', atMs: 40, note: 'all' },
    { type: 'stageStart', stage: 'warmUp', atMs: 50 },
    { type: 'notice', stage: 'fetch', atMs: 55, message: 'before' },
    { type: 'restart', stage: 'plan', atMs: 60 },
  ];

  it('shows them as before their beginning, and keeps the stages before them and what was said', () => {
    const state = run(feed);
    expect(rowOf(state, 'resolve')).toMatchObject({ state: 'done', note: 'commit abc' });
    expect(state.rows.slice(1)).toEqual(createLoadState().rows.slice(1));
    expect(state).toMatchObject({ phase: 'loading', atMs: 60, notices: [{ message: 'before' }] });
  });

  it('shows the second run as any other', () => {
    const state = run([...feed, { type: 'stageStart', stage: 'fetch', atMs: 70 }, progress('fetch', 80, 5, 50)]);
    expect(rowOf(state, 'fetch')).toMatchObject({ state: 'running', startMs: 70, doneBytes: 5, totalBytes: 50 });
    const failed = reduceLoad(state, { type: 'failed', error, atMs: 90 });
    expect([rowOf(failed, 'fetch').state, rowOf(failed, 'warmUp').state]).toEqual(['failed', 'waiting']);
  });
});

describe('a plan alone', () => {
  const planning = (events: readonly LoadEvent[]): LoadState => events.reduce(reduceLoad, createLoadState('planning'));
  const resolved: readonly LoadEvent[] = [
    { type: 'stageStart', stage: 'resolve', atMs: 0 },
    { type: 'stageEnd', stage: 'resolve', atMs: 20, note: 'commit abc' },
    { type: 'stageStart', stage: 'plan', atMs: 21 },
  ];

  it('keeps the times of its stages when it is made, and begins no others', () => {
    const end: LoadEvent = { type: 'stageEnd', stage: 'plan', atMs: 40, note: null };
    const state = endPlanning(planning([...resolved, end]), 41);
    expect(state).toMatchObject({ phase: 'planned', atMs: 41 });
    expect(rowOf(state, 'resolve')).toMatchObject({ state: 'done', startMs: 0, endMs: 20 });
    expect(rowOf(state, 'build').state).toBe('waiting');
  });

  it('that fails has failed in its stage, after the stages before it', () => {
    const state = planning([...resolved, { type: 'failed', error: { ...error, stage: 'plan' }, atMs: 30 }]);
    expect(state).toMatchObject({ phase: 'failed', atMs: 30 });
    expect([rowOf(state, 'resolve').state, rowOf(state, 'plan').state]).toEqual(['done', 'failed']);
    expect(endPlanning(state, 31)).toBe(state);
  });
});

describe('rates', () => {
  it('is measured over the last seconds, up to now', () => {
    const state = run([progress('fetch', 0, 0, 10_000), progress('fetch', 1000, 2000, 10_000)]);
    expect(rowRate(rowOf(state, 'fetch'), 1000)).toBe(2000);
    // Nothing for three more seconds: the rate sinks although no event came.
    expect(rowRate(rowOf(state, 'fetch'), 4000)).toBe(500);
  });

  it('forgets what lies further back than its window', () => {
    const state = run([
      progress('fetch', 0, 0, 1e9),
      progress('fetch', 10_000, 1000, 1e9),
      progress('fetch', 11_000, 6000, 1e9),
    ]);
    expect(rowRate(rowOf(state, 'fetch'), 11_000)).toBe(5000);
  });

  it('is the average of the whole stage afterwards', () => {
    const state = run([
      { type: 'stageStart', stage: 'fetch', atMs: 100 },
      progress('fetch', 500, 800, 800),
      { type: 'stageEnd', stage: 'fetch', atMs: 500, note: null },
    ]);
    expect(rowRate(rowOf(state, 'fetch'), 9999)).toBe(2000);
  });

  it('is unknown for stages that count no bytes', () => {
    const state = run([{ type: 'stageStart', stage: 'build', atMs: 0 }]);
    expect(rowRate(rowOf(state, 'build'), 500)).toBeNull();
    expect(rowFraction(rowOf(state, 'build'))).toBeNull();
  });
});

const stage = fc.constantFrom(...STAGES);
const size = fc.integer({ min: 0, max: 5000 });
const atMs = fc.integer({ min: 0, max: 10_000 });
/** Any feed at all, orderly or not. */
const anyEvent: fc.Arbitrary<LoadEvent> = fc.oneof(
  fc.record({ type: fc.constant('stageStart' as const), stage, atMs }),
  fc.record({ type: fc.constant('stageEnd' as const), stage, atMs, note: fc.constant(null) }),
  fc.record({
    type: fc.constant('progress' as const),
    stage,
    atMs,
    doneBytes: size,
    totalBytes: size,
    networkBytes: size,
  }),
  fc.record({ type: fc.constant('notice' as const), stage, atMs, message: fc.string() }),
);
const anyEnd: fc.Arbitrary<LoadEvent> = fc.oneof(
  fc.record({ type: fc.constant('ready' as const), atMs }),
  fc.record({ type: fc.constant('cancelled' as const), atMs }),
  fc.record({ type: fc.constant('failed' as const), atMs, error: fc.constant(error) }),
);
const RANK = { waiting: 0, running: 1, paused: 1, done: 2, failed: 2, cancelled: 2 } as const;

describe('whatever the feed does', () => {
  it('progress never falls, totals never shrink, a row that ended stays as it is', () => {
    fc.assert(
      fc.property(fc.array(anyEvent, { maxLength: 60 }), (events) => {
        let state = createLoadState('loading');
        for (const event of events) {
          const next = reduceLoad(state, event);
          for (const [index, row] of next.rows.entries()) {
            const before = state.rows[index] ?? row;
            expect(row.doneBytes).toBeGreaterThanOrEqual(before.doneBytes);
            expect(row.totalBytes).toBeGreaterThanOrEqual(before.totalBytes);
            expect(row.doneBytes).toBeLessThanOrEqual(row.totalBytes);
            expect(RANK[row.state]).toBeGreaterThanOrEqual(RANK[before.state]);
            if (RANK[before.state] === 2) expect(row).toEqual(before);
            expect(row.endMs ?? Infinity).toBeGreaterThanOrEqual(row.startMs ?? 0);
          }
          expect(next.atMs).toBeGreaterThanOrEqual(state.atMs);
          state = next;
        }
      }),
    );
  });

  it('leaves nothing running after an end, and nothing follows it', () => {
    fc.assert(
      fc.property(
        fc.array(anyEvent, { maxLength: 40 }),
        anyEnd,
        fc.array(anyEvent, { maxLength: 5 }),
        (events, end, more) => {
          const ended = run([...events, end]);
          expect(ended.rows.filter((row) => row.state === 'running')).toEqual([]);
          expect(more.reduce(reduceLoad, ended)).toBe(ended);
        },
      ),
    );
  });

  it('opens the iris only further while totals hold', () => {
    fc.assert(
      fc.property(fc.array(fc.record({ stage, doneBytes: size }), { maxLength: 40 }), (steps) => {
        let state = createLoadState('loading');
        let before = 0;
        for (const { stage: at, doneBytes } of steps) {
          state = reduceLoad(state, progress(at, 1, doneBytes, 5000));
          const now = loadFraction(state);
          expect(now).toBeGreaterThanOrEqual(before);
          expect(now).toBeLessThanOrEqual(1 + 1e-9);
          before = now;
        }
      }),
    );
  });
});
