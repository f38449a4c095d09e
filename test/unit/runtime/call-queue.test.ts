/**
 * The queue in front of the runtime: turns, failures, cancels, ends of lines. Calls are made by hand and end by hand.
 */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { countListeners } from '../base/count-listeners.ts';
import { LoadError } from '../../../src/contract/errors.ts';
import { CallQueue } from '../../../src/runtime/ort/call-queue.ts';
import type { CallKind, CallLine } from '../../../src/runtime/ort/call-queue.ts';

/** A queue whose calls write down when they begin, and end when they are told to. */
class Bench {
  readonly queue = new CallQueue();
  readonly began: string[] = [];
  readonly failed: string[] = [];
  #mostAtOnce = 0;
  readonly #running = new Map<string, { end: () => void; fail: (error: Error) => void }>();

  get mostAtOnce(): number {
    return this.#mostAtOnce;
  }

  ask(line: CallLine, kind: CallKind, name: string, signal?: AbortSignal): void {
    const work = (): Promise<void> => {
      this.began.push(name);
      return new Promise((end, fail) => {
        this.#running.set(name, { end, fail });
        this.#mostAtOnce = Math.max(this.#mostAtOnce, this.#running.size);
      });
    };
    this.queue.call(line, kind, work, signal).catch((error: unknown) => {
      this.failed.push(`${name}: ${error instanceof LoadError ? error.code : String(error)}`);
    });
  }

  /** Ends what runs, and lets what follows begin. */
  async end(error?: Error): Promise<void> {
    const [running] = this.#running;
    if (!running) throw new Error('nothing runs');
    const [name, { end, fail }] = running;
    this.#running.delete(name);
    if (error) fail(error);
    else end();
    await settle();
  }

  get isRunning(): boolean {
    return this.#running.size > 0;
  }

  async endAll(): Promise<void> {
    while (this.isRunning) await this.end();
  }
}

/** Microtasks only: a test that needs more than these finds nothing begun. */
async function settle(): Promise<void> {
  for (let round = 0; round < 10; round++) await Promise.resolve();
}

describe('turns', () => {
  it('a call begins before `call` returns where nothing runs, and needs no task of the event loop to end', async () => {
    const bench = new Bench();
    const line = bench.queue.openLine();
    for (const name of ['1', '2', '3']) {
      bench.ask(line, 'step', name);
      expect(bench.began.at(-1)).toBe(name);
      await bench.end();
    }
  });

  it('never two at once, and in one line in order, whatever comes when', async () => {
    const act = fc.oneof(
      fc.record({ line: fc.nat(2), kind: fc.constantFrom<CallKind>('step', 'build', 'release') }),
      fc.constant('end' as const),
    );
    await fc.assert(
      fc.asyncProperty(fc.array(act, { maxLength: 60 }), async (acts) => {
        const bench = new Bench();
        const lines = [0, 1, 2].map(() => bench.queue.openLine());
        const asked: string[] = [];
        for (const [index, one] of acts.entries()) {
          if (one !== 'end') {
            const name = `${one.line}/${String(index).padStart(2, '0')}`;
            asked.push(name);
            bench.ask(lines[one.line] as CallLine, one.kind, name);
          } else if (bench.isRunning) await bench.end();
        }
        await bench.endAll();
        expect(bench.mostAtOnce).toBeLessThanOrEqual(1);
        expect(bench.began.toSorted()).toEqual(asked.toSorted());
        for (const line of [0, 1, 2]) {
          const of = (names: string[]): string[] => names.filter((name) => name.startsWith(`${line}/`));
          expect(of(bench.began)).toEqual(of(asked));
        }
      }),
    );
  });

  it('two lines that ask without end take turns, however many calls the one has waiting', async () => {
    const bench = new Bench();
    const [a, b] = [bench.queue.openLine(), bench.queue.openLine()];
    for (const name of ['a1', 'a2', 'a3', 'a4']) bench.ask(a, 'step', name);
    for (const name of ['b1', 'b2', 'b3']) bench.ask(b, 'step', name);
    await bench.endAll();
    expect(bench.began).toEqual(['a1', 'b1', 'a2', 'b2', 'a3', 'b3', 'a4']);
  });

  it('a line that was idle has no turns to make up for', async () => {
    const bench = new Bench();
    const [a, b] = [bench.queue.openLine(), bench.queue.openLine()];
    for (let count = 0; count < 50; count++) {
      bench.ask(a, 'step', 'before');
      await bench.end();
    }
    for (const name of ['a1', 'a2', 'a3']) bench.ask(a, 'step', name);
    for (const name of ['b1', 'b2', 'b3']) bench.ask(b, 'step', name);
    await bench.endAll();
    expect(bench.began.slice(50)).toEqual(['a1', 'b1', 'a2', 'b2', 'a3', 'b3']);
  });
});

describe('a build', () => {
  it('goes behind the steps that wait when it comes, though they came behind a step of their own line', async () => {
    const bench = new Bench();
    const [a, b, load] = [bench.queue.openLine(), bench.queue.openLine(), bench.queue.openLine()];
    bench.ask(a, 'step', 'a1');
    bench.ask(a, 'step', 'a2');
    bench.ask(b, 'step', 'b1');
    bench.ask(load, 'build', 'build');
    await bench.endAll();
    expect(bench.began).toEqual(['a1', 'b1', 'a2', 'build']);
  });

  it('waits for two steps of each line at most, though two answers never end', async () => {
    const bench = new Bench();
    const answers = ['a', 'b', 'c'].map((name) => ({ name, line: bench.queue.openLine() }));
    const load = bench.queue.openLine();
    for (const { name, line } of answers) bench.ask(line, 'step', name);
    bench.ask(load, 'build', 'build');
    for (let count = 0; count < 12 && !bench.began.includes('build'); count++) {
      const ending = answers.find(({ name }) => name === bench.began.at(-1));
      await bench.end();
      if (ending) bench.ask(ending.line, 'step', ending.name);
    }
    expect(bench.began).toContain('build');
    for (const { name } of answers) expect(bench.began.filter((one) => one === name).length).toBeLessThanOrEqual(2);
  });

  it('of two in a row, asked for at once: what came during the first goes in between', async () => {
    const bench = new Bench();
    const [a, load] = [bench.queue.openLine(), bench.queue.openLine()];
    bench.ask(load, 'build', 'build 1');
    bench.ask(load, 'build', 'build 2');
    bench.ask(a, 'step', 'a1');
    await bench.end();
    expect(bench.began).toEqual(['build 1', 'a1']);
    await bench.endAll();
    expect(bench.began).toEqual(['build 1', 'a1', 'build 2']);
  });

  it('of two loads: they take turns', async () => {
    const bench = new Bench();
    const [a, b] = [bench.queue.openLine(), bench.queue.openLine()];
    for (const name of ['a1', 'a2', 'a3']) bench.ask(a, 'build', name);
    for (const name of ['b1', 'b2', 'b3']) bench.ask(b, 'build', name);
    await bench.endAll();
    expect(bench.began).toEqual(['a1', 'b1', 'a2', 'b2', 'a3', 'b3']);
  });
});

describe('what goes wrong', () => {
  it('a call that fails, or throws before it returns a promise, fails alone', async () => {
    const bench = new Bench();
    const [a, b] = [bench.queue.openLine(), bench.queue.openLine()];
    bench.ask(a, 'step', 'a1');
    bench.ask(b, 'step', 'b1');
    bench.ask(a, 'step', 'a2');
    await bench.end(new Error('broken'));
    await bench.endAll();
    expect(bench.failed).toEqual(['a1: Error: broken']);
    expect(bench.began).toEqual(['a1', 'b1', 'a2']);
    const thrown = bench.queue.call(a, 'step', () => {
      throw new Error('at once');
    });
    await expect(thrown).rejects.toThrow('at once');
    bench.ask(b, 'step', 'b2');
    expect(bench.began.at(-1)).toBe('b2');
  });

  it('a signal that fires takes a waiting call out; one that has begun runs to its end', async () => {
    const bench = new Bench();
    const [a, b] = [bench.queue.openLine(), bench.queue.openLine()];
    const [running, waiting] = [new AbortController(), new AbortController()];
    bench.ask(a, 'step', 'a1', running.signal);
    bench.ask(b, 'build', 'b1', waiting.signal);
    bench.ask(b, 'step', 'b2');
    running.abort();
    waiting.abort();
    await settle();
    expect(bench.failed).toEqual(['b1: aborted']);
    expect(bench.began).toEqual(['a1']);
    await bench.endAll();
    expect(bench.began).toEqual(['a1', 'b2']);
    expect(bench.failed).toEqual(['b1: aborted']);
    bench.ask(a, 'step', 'a2', waiting.signal);
    await settle();
    expect(bench.failed).toEqual(['b1: aborted', 'a2: aborted']);
    expect(bench.isRunning).toBe(false);
  });

  it('a signal that fires in the moment of the turn: the call runs, and the queue goes on', async () => {
    const bench = new Bench();
    const line = bench.queue.openLine();
    const controller = new AbortController();
    let end = (): void => undefined;
    const first = bench.queue.call(line, 'step', () => new Promise<void>((resolve) => (end = resolve)));
    bench.ask(line, 'step', 'second', controller.signal);
    bench.ask(line, 'step', 'third');
    void first.then(() => controller.abort());
    end();
    await settle();
    await bench.endAll();
    expect(bench.began).toEqual(['second', 'third']);
    expect(bench.failed).toEqual([]);
  });

  it('a signal of many calls keeps no listener of any', async () => {
    const bench = new Bench();
    const [a, b] = [bench.queue.openLine(), bench.queue.openLine()];
    const { signal } = new AbortController();
    const listeners = countListeners(signal);
    for (let count = 0; count < 8; count++) bench.ask(count % 2 ? a : b, 'step', String(count), signal);
    expect(listeners()).toBeGreaterThan(0);
    await bench.endAll();
    expect(bench.began).toHaveLength(8);
    expect(listeners()).toBe(0);
  });

  it('a line that is ended: what waits fails, what comes fails, what it gives back still goes; other lines go on', async () => {
    const bench = new Bench();
    const [lost, other] = [bench.queue.openLine(), bench.queue.openLine()];
    bench.ask(lost, 'step', 'running');
    bench.ask(lost, 'step', 'waiting');
    bench.ask(lost, 'build', 'build');
    bench.ask(lost, 'release', 'release');
    bench.ask(other, 'step', 'other');
    bench.queue.endLine(lost, new LoadError('device_lost'));
    bench.queue.endLine(lost, new LoadError('internal'));
    bench.ask(lost, 'step', 'late');
    await settle();
    expect(bench.failed.toSorted()).toEqual(['build: device_lost', 'late: device_lost', 'waiting: device_lost']);
    await bench.endAll();
    expect(bench.began.toSorted()).toEqual(['other', 'release', 'running']);
    bench.ask(lost, 'release', 'late release');
    expect(bench.began.at(-1)).toBe('late release');
  });
});
