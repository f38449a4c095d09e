import { setTimeout as wait } from 'node:timers/promises';
import * as Comlink from 'comlink';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { Operations } from '../../../src/base/linked-worker.ts';
import { WorkerLink } from '../../../src/base/worker-link.ts';
import type { WorkerKind } from '../../../src/base/worker-link.ts';
import { LoadError } from '../../../src/contract/errors.ts';

/** What is called: it answers, hangs, and is cancelled. */
class Api {
  static cleanedUp = 0;
  readonly #operations = new Operations();

  add(a: number, b: number): number {
    return a + b;
  }

  fail(): never {
    throw new LoadError('tensor_missing', { stage: 'plan', detail: { name: 'w' } });
  }

  hang(operation: number): Promise<never> {
    return this.#operations.run(operation, async (signal) => {
      await new Promise((resolve) => signal.addEventListener('abort', resolve));
      await wait(5);
      Api.cleanedUp++;
      throw new LoadError('aborted', { stage: 'fetch', cause: signal.reason });
    });
  }

  cancel(operation: number): void {
    this.#operations.cancel(operation);
  }
}

/** A worker in this thread: a real channel between, and the events of the platform where the test sends them. */
class ChannelWorker extends EventTarget {
  terminated = false;
  readonly name: string;
  readonly #channel = new MessageChannel();

  constructor(name: string) {
    super();
    this.name = name;
    Comlink.expose(new Api(), this.#channel.port2);
    this.#channel.port1.onmessage = ({ data }: MessageEvent<unknown>) =>
      this.dispatchEvent(new MessageEvent('message', { data }));
  }

  postMessage(message: unknown, transfer: Transferable[] = []): void {
    this.#channel.port1.postMessage(message, transfer);
  }

  terminate(): void {
    this.terminated = true;
    this.#channel.port1.close();
  }

  /** As a script that threw; without a message, as one that could not be loaded. */
  fail(message?: string): void {
    this.dispatchEvent(
      Object.assign(new Event('error', { cancelable: true }), message === undefined ? {} : { message }),
    );
  }
}

let worker: ChannelWorker;
let link: WorkerLink<Api>;

const start = (kind: Partial<WorkerKind> = {}): WorkerLink<Api> =>
  WorkerLink.start<Api>({
    namePrefix: 'test:',
    start: (name) => (worker = new ChannelWorker(name)) as unknown as Worker,
    ...kind,
  });

const failureOf = (call: Promise<unknown>): Promise<unknown> =>
  call.then(
    () => null,
    (error: unknown) => error,
  );

beforeEach(() => {
  Api.cleanedUp = 0;
  link = start();
});
afterEach(() => {
  link.end(new LoadError('disposed'));
  vi.unstubAllGlobals();
});

describe('calls', () => {
  it('arrive, and errors come back whole; every worker has a name of its own', async () => {
    expect(await link.call((api) => api.add(1, 2))).toBe(3);
    expect(await failureOf(link.call((api) => api.fail()))).toMatchObject({
      code: 'tensor_missing',
      stage: 'plan',
      detail: { name: 'w' },
    });
    const first = worker.name;
    expect(first).toMatch(/^test:./u);
    start().end(new LoadError('disposed'));
    expect(worker.name).not.toBe(first);
  });

  it('are cancelled one by one, and reject once the other side has cleaned up, with the reason of the caller', async () => {
    const stop = new AbortController();
    const other = new AbortController();
    const cancelled = failureOf(link.call((api, id) => api.hang(id), stop.signal));
    const going = failureOf(link.call((api, id) => api.hang(id), other.signal));
    await link.call((api) => api.add(0, 0));
    const reason = new Error('no more');
    stop.abort(reason);
    expect(await cancelled).toMatchObject({ code: 'aborted', name: 'AbortError', stage: 'fetch', cause: reason });
    expect(Api.cleanedUp).toBe(1);
    other.abort();
    expect(await going).toMatchObject({ code: 'aborted' });
  });

  it('with a signal that has fired are not made', async () => {
    const made = vi.fn(() => Promise.resolve());
    expect(await failureOf(link.call(made, AbortSignal.abort('late')))).toMatchObject({
      code: 'aborted',
      cause: 'late',
    });
    expect(made).not.toHaveBeenCalled();
  });

  it('with what cannot be cloned are refused with a type', async () => {
    const wrong = (() => 1) as unknown as number;
    expect(await failureOf(link.call((api) => api.add(wrong, 1)))).toMatchObject({
      code: 'invalid_argument',
      detail: { reason: 'not_cloneable' },
    });
  });
});

describe('the end of a worker rejects every call under way and every later one with one typed error', () => {
  it('where it crashes in mid-work', async () => {
    await link.call((api) => api.add(1, 1));
    const ended = vi.fn();
    link.onEnd(ended);
    const waiting = [failureOf(link.call((api, id) => api.hang(id))), failureOf(link.call((api, id) => api.hang(id)))];
    worker.fail('out of memory');
    for (const one of waiting) {
      expect(await one).toMatchObject({ code: 'worker_died', retryable: true });
      expect(await one).toMatchObject({ message: expect.stringContaining('out of memory') as string });
    }
    expect(await failureOf(link.call((api) => api.add(1, 1)))).toBe(await waiting[0]);
    expect(worker.terminated).toBe(true);
    expect(ended).toHaveBeenCalledExactlyOnceWith(link.ended);
  });

  it('where its script cannot be loaded', async () => {
    const waiting = failureOf(link.call((api) => api.add(1, 1)));
    worker.fail();
    expect(await waiting).toMatchObject({
      code: 'worker_died',
      message: expect.stringContaining('could not be loaded') as string,
    });
  });

  it('where the browser would not start it at all', async () => {
    const cause = new DOMException('no', 'SecurityError');
    const refused = start({
      start: () => {
        throw cause;
      },
    });
    expect(refused.ended).toMatchObject({ code: 'worker_died', cause });
    expect(await failureOf(refused.call((api) => api.add(1, 1)))).toBe(refused.ended);
  });

  it('where this side ends it', async () => {
    const waiting = failureOf(link.call((api, id) => api.hang(id)));
    const error = new LoadError('disposed');
    link.end(error);
    link.end(new LoadError('internal'));
    expect(await waiting).toBe(error);
    expect(worker.terminated).toBe(true);
  });

  it('and its kind has the word: which stage it is of, what the realm is like', async () => {
    const explained = start({ explain: ({ message }) => new LoadError('runtime_failed', { message, stage: 'fill' }) });
    const waiting = failureOf(explained.call((api, id) => api.hang(id)));
    worker.fail('why');
    expect(await waiting).toMatchObject({ code: 'runtime_failed', stage: 'fill' });
  });

  it('over a port, when whoever knows of it says so', async () => {
    const { port1, port2 } = new MessageChannel();
    Comlink.expose(new Api(), port2);
    const over = WorkerLink.overPort<Api>(port1);
    expect(await over.call((api) => api.add(2, 2))).toBe(4);
    const waiting = failureOf(over.call((api, id) => api.hang(id)));
    over.end(new LoadError('worker_died', { stage: 'fetch' }));
    expect(await waiting).toMatchObject({ code: 'worker_died', stage: 'fetch' });
    port2.close();
  });
});

it('lives for as long as somebody holds it; letting go twice counts once', () => {
  const letGo = [link.hold(), link.hold()];
  letGo[0]?.();
  letGo[0]?.();
  expect(worker.terminated).toBe(false);
  letGo[1]?.();
  expect(worker.terminated).toBe(true);
  expect(link.ended).toMatchObject({ code: 'disposed' });
});
