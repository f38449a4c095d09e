/**
 * Sessions over a runtime that is not one: what reaches it, in which order, and never two at once.
 */
import { describe, expect, it } from 'vitest';
import { isLoadError } from '../../../src/contract/errors.ts';
import { SessionMaker, withQueuedSessions } from '../../../src/runtime/ort/sessions.ts';
import type { Ort } from '../../../src/runtime/ort/onnxruntime.ts';
import type { SessionOptions } from '../../../src/runtime/ort/sessions.ts';

/** Stands for onnxruntime-web: throws where it is called while a call of it is under way, as its Asyncify build aborts. */
class SuspendingRuntime {
  readonly calls: string[] = [];
  readonly options: unknown[] = [];
  /** Calls of these names fail. */
  readonly failing = new Set<string>();
  #isInside = false;

  readonly ort = {
    InferenceSession: {
      create: async (graph: Uint8Array, options: SessionOptions) => {
        const name = String.fromCharCode(...graph);
        this.options.push(options);
        await this.#suspend(`create ${name}`);
        return {
          inputNames: [`${name} in`],
          outputNames: [`${name} out`],
          run: async (...args: unknown[]) => {
            await this.#suspend(`run ${name}`);
            return { args };
          },
          release: () => this.#suspend(`release ${name}`),
        };
      },
    },
    Tensor: () => undefined,
  } as unknown as Ort;

  async #suspend(call: string): Promise<void> {
    if (this.#isInside) throw new Error(`${call} while another call is suspended`);
    this.#isInside = true;
    this.calls.push(call);
    await new Promise((resolve) => setTimeout(resolve, 1));
    this.#isInside = false;
    if (this.failing.has(call)) throw new Error(`${call} failed`);
  }
}

const graph = (name: string): Uint8Array<ArrayBuffer> => Uint8Array.from(name, (letter) => letter.charCodeAt(0));
const codeOf = (error: unknown): unknown => (isLoadError(error) ? error.code : String(error));

describe('SessionMaker', () => {
  it('sessions of all makers of the worker wait for each other: creating, running, releasing', async () => {
    const { ort, calls } = new SuspendingRuntime();
    const use = async (name: string): Promise<void> => {
      const session = await new SessionMaker().create(ort, graph(name), {});
      await Promise.all([session.run({}), session.run({})]);
      await session.release();
    };
    await Promise.all([use('a'), use('b'), use('c')]);
    expect(calls).toHaveLength(12);
  });

  it('hands everything on as it is: the same options object, inputs, and outputs where some are asked for', async () => {
    const { ort, options } = new SuspendingRuntime();
    const asked: SessionOptions = { executionProviders: ['wasm'] };
    const session = await new SessionMaker().create(ort, graph('a'), asked);
    expect(options[0]).toBe(asked);
    expect([session.inputNames, session.outputNames]).toEqual([['a in'], ['a out']]);
    const feeds = {};
    const fetches = { logits: null };
    expect(await session.run(feeds)).toEqual({ args: [feeds] });
    expect(await session.run(feeds, fetches)).toEqual({ args: [feeds, fetches] });
  });

  it('a creation, a run and a release that fail leave the way free', async () => {
    const runtime = new SuspendingRuntime();
    const { ort, calls, failing } = runtime;
    for (const call of ['create a', 'run b', 'release b']) failing.add(call);
    await expect(new SessionMaker().create(ort, graph('a'), {})).rejects.toThrow('create a failed');
    const session = await new SessionMaker().create(ort, graph('b'), {});
    await expect(session.run({})).rejects.toThrow('run b failed');
    await expect(session.release()).rejects.toThrow('release b failed');
    await (await new SessionMaker().create(ort, graph('c'), {})).release();
    expect(calls).toEqual(['create a', 'create b', 'run b', 'release b', 'create c', 'release c']);
  });

  it('releases once, behind the runs that were asked for before', async () => {
    const { ort, calls } = new SuspendingRuntime();
    const session = await new SessionMaker().create(ort, graph('a'), {});
    await Promise.all([session.run({}), session.run({}), session.release(), session.release()]);
    expect(calls).toEqual(['create a', 'run a', 'run a', 'release a']);
  });

  it('a signal takes a creation and a run out that wait', async () => {
    const { ort, calls } = new SuspendingRuntime();
    const session = await new SessionMaker().create(ort, graph('a'), {});
    const controller = new AbortController();
    const running = session.run({}, undefined, controller.signal);
    const waiting = [
      session.run({}, undefined, controller.signal),
      new SessionMaker().create(ort, graph('b'), {}, controller.signal),
    ].map((call) => call.catch(codeOf));
    controller.abort();
    expect(await Promise.all(waiting)).toEqual(['aborted', 'aborted']);
    await running;
    await session.release();
    expect(calls).toEqual(['create a', 'run a', 'release a']);
  });

  it('a lost device: what waits for it fails with device_lost, its sessions can be released, other models go on', async () => {
    const { ort, calls } = new SuspendingRuntime();
    let lose = (_reason: string): void => undefined;
    const lost = new Promise<string>((resolve) => (lose = resolve));
    const maker = new SessionMaker(lost);
    const session = await maker.create(ort, graph('a'), {});
    const other = await new SessionMaker().create(ort, graph('b'), {});
    const running = session.run({});
    const waiting = [session.run({}), maker.create(ort, graph('c'), {})].map((call) => call.catch(codeOf));
    const answered = other.run({});
    lose('the driver was updated');
    expect(await Promise.all(waiting)).toEqual(['device_lost', 'device_lost']);
    expect(await session.run({}).catch(codeOf)).toBe('device_lost');
    await expect(session.run({})).rejects.toThrow(/the driver was updated/u);
    await Promise.all([running, answered, session.release()]);
    await other.run({});
    expect(calls).toEqual(['create a', 'create b', 'run a', 'run b', 'release a', 'run b']);
  });
});

describe('the runtime that transformers.js is given', () => {
  it('makes its sessions by the same queue, and is otherwise the same', async () => {
    const { ort, calls } = new SuspendingRuntime();
    const given = withQueuedSessions(ort) as typeof ort;
    expect(given.Tensor).toBe(ort.Tensor);
    const ours = await new SessionMaker().create(ort, graph('a'), {});
    const theirs = await given.InferenceSession.create(graph('t'), {});
    Object.assign(theirs, { config: {} }); // as it does
    await Promise.all([ours.run({}), theirs.run({}), ours.run({}), theirs.run({})]);
    await Promise.all([ours.release(), theirs.release()]);
    expect(calls).toHaveLength(8);
  });
});
