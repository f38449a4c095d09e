import { describe, expect, it } from 'vitest';
import type { LoadEvent } from '../../../src/contract/load.ts';
import { LoadError } from '../../../src/contract/errors.ts';
import { StageLog } from '../../../src/pipeline/stage-log.ts';

const collect = (): { events: LoadEvent[]; log: StageLog } => {
  const events: LoadEvent[] = [];
  return { events, log: new StageLog((event) => events.push(event)) };
};

describe('StageLog', () => {
  it('keeps the feed honest: progress never falls, the total is constant, all means done', () => {
    const { events, log } = collect();
    log.start('fetch');
    log.progress('fetch', 50, 100);
    log.progress('fetch', 40, 120);
    log.progress('fetch', 100, 100);
    expect(events.filter((event) => event.type === 'progress').every((event) => event.doneBytes < 100)).toBe(true);
    log.end('fetch', null);
    const progress = events.filter((event) => event.type === 'progress');
    expect(progress.at(-1)).toMatchObject({ doneBytes: 100, totalBytes: 100 });
    expect(progress.every((event) => event.totalBytes === 100)).toBe(true);
    expect(events.at(-1)?.type).toBe('stageEnd');
    log.end('fetch', null);
    expect(events.filter((event) => event.type === 'stageEnd')).toHaveLength(1);
  });

  it('tells who waits that a stage has begun, or has ended, also afterwards', async () => {
    const { log } = collect();
    const told: string[] = [];
    const { signal } = new AbortController();
    const waiting = (['fetch ended', 'fetch begun'] as const).map((moment) =>
      log.when(moment, signal).then(() => told.push(moment)),
    );
    await Promise.resolve();
    expect(told).toEqual([]);
    log.start('fetch');
    await waiting[1];
    expect(told).toEqual(['fetch begun']);
    log.end('fetch', null);
    await waiting[0];
    await log.when('fetch begun', signal);
    await log.when('fetch ended', signal);
    await expect(log.when('fill begun', AbortSignal.abort())).rejects.toMatchObject({ code: 'aborted' });
  });

  it('a stage that fails has not ended', async () => {
    const { log } = collect();
    const failing = log.run('fill', () => Promise.reject(new LoadError('aborted')));
    await expect(failing).rejects.toMatchObject({ code: 'aborted' });
    await expect(log.when('fill ended', AbortSignal.timeout(1))).rejects.toMatchObject({ code: 'aborted' });
  });

  it('lets the running stage claim an error that has none', async () => {
    const { log } = collect();
    const failing = log.run('plan', () => Promise.reject(new LoadError('config_invalid')));
    await expect(failing).rejects.toMatchObject({ stage: 'plan' });
    const claimed = log.run('plan', () => Promise.reject(new LoadError('http_status', { stage: 'fetch' })));
    await expect(claimed).rejects.toMatchObject({ stage: 'fetch' });
  });

  it('begins stages anew: each is timed once, as it ran last, and what they say again is not said twice', () => {
    const { events, log } = collect();
    const runAll = (): void => {
      for (const stage of ['plan', 'fetch'] as const) {
        log.start(stage);
        log.progress(stage, 5, 10);
        log.notice(stage, `${stage} found this`);
        log.end(stage, null);
      }
    };
    log.start('resolve');
    log.end('resolve', null);
    runAll();
    log.start('warmUp');
    log.restart('plan');
    const resumedMs = log.nowMs();
    runAll();
    log.notice('plan', 'and this');
    expect(log.timings.map(({ stage }) => stage)).toEqual(['resolve', 'plan', 'fetch']);
    expect(log.timings.slice(1).every(({ startMs }) => startMs >= resumedMs)).toBe(true);
    expect(log.notices).toEqual(['plan found this', 'fetch found this', 'and this']);
    const at = events.findIndex(({ type }) => type === 'restart');
    expect(events[at]).toMatchObject({ stage: 'plan' });
    const after = events.slice(at + 1).flatMap((event) => ('stage' in event ? `${event.type} ${event.stage}` : []));
    const anew = (stage: string): string[] =>
      ['stageStart', 'progress', 'progress', 'stageEnd'].map((type) => `${type} ${stage}`);
    expect(after).toEqual([...anew('plan'), ...anew('fetch'), 'notice plan']);
  });

  it('who waits for a stage waits for the one that begins anew', async () => {
    const { log } = collect();
    log.start('fetch');
    log.restart('plan');
    const { signal } = new AbortController();
    let begun = false;
    const waiting = log.when('fetch begun', signal).then(() => (begun = true));
    await Promise.resolve();
    await Promise.resolve();
    expect(begun).toBe(false);
    log.start('fetch');
    await waiting;
  });

  it('tells a cancel from a failure', () => {
    const { events, log } = collect();
    log.fail(new LoadError('aborted'));
    log.fail(new LoadError('no_safetensors', { stage: 'plan' }));
    expect(events.map((event) => event.type)).toEqual(['cancelled', 'failed']);
  });
});
