import { describe, expect, it } from 'vitest';
import { sleep } from '../../../src/base/abort.ts';
import { LoadError } from '../../../src/contract/errors.ts';
import type { LoadReport, ModelInfo } from '../../../src/contract/load.ts';
import type { ModelState } from '../../../src/contract/model-state.ts';
import { LastingModel, REBUILD_ATTEMPTS } from '../../../src/pipeline/serve/lasting-model.ts';
import type { Serving } from '../../../src/pipeline/serve/lasting-model.ts';

/** A served model on a device that can be lost; it answers `logits` after `workMs`, and notices overlap and misuse. */
class Device implements Serving {
  readonly info = {} as ModelInfo;
  readonly report = {} as LoadReport;
  readonly number: number;
  readonly lost: Promise<string>;
  lose: (reason: string) => void = () => {};
  workMs = 5;
  released = 0;
  running = 0;
  constructor(number: number) {
    this.number = number;
    this.lost = new Promise((resolve) => (this.lose = resolve));
  }
  generate(): Promise<never> {
    return Promise.reject(new Error('unused'));
  }
  async logits(_prompt: unknown, _options: unknown, signal: AbortSignal): Promise<Float32Array> {
    expect(this.released, 'no request on a released model').toBe(0);
    expect(++this.running, 'requests do not overlap').toBe(1);
    try {
      await sleep(this.workMs, signal);
      return Float32Array.of(this.number);
    } finally {
      this.running--;
    }
  }
  tokenize = (): number[] => [this.number];
  detokenize = (): string => '';
  memory = () => ({ gpu: null, contextTokens: 1, conversations: 1 });
  release(): Promise<void> {
    expect(this.running, 'nothing runs on a model that is released').toBe(0);
    this.released++;
    return Promise.resolve();
  }
}

/** A lasting model; rebuilds take `rebuildMs` and fail as `failures` says, one after another. */
function setUp({ rebuildMs = 5, failures = [] as (LoadError | null)[] } = {}) {
  const devices: Device[] = [new Device(0)];
  const states: ModelState[] = [];
  const first = devices[0] as Device;
  const model = new LastingModel(first, {
    baseDelayMs: 1,
    onState: (state) => states.push(state),
    remake: async (signal) => {
      await sleep(rebuildMs, signal);
      const failure = failures.shift();
      if (failure) throw failure;
      const device = new Device(devices.length);
      devices.push(device);
      return device;
    },
  });
  const ask = async (signal = new AbortController().signal): Promise<number> =>
    (await model.logits([1], {}, signal))[0] ?? NaN;
  return { model, first, devices, states, ask };
}

describe('LastingModel', () => {
  it('serves one request after another', async () => {
    const { ask } = setUp();
    expect(await Promise.all([ask(), ask(), ask()])).toEqual([0, 0, 0]);
  });

  it('ends the interrupted request in device_lost; those behind it are answered by the next device', async () => {
    const { first, ask, states } = setUp();
    first.workMs = 10_000;
    const interrupted = ask();
    const behind = [ask(), ask()];
    await sleep(5);
    first.lose('the driver crashed');
    await expect(interrupted).rejects.toMatchObject({
      code: 'device_lost',
      retryable: true,
      stage: 'serve',
      detail: { rebuilding: true },
      cause: { code: 'device_lost', message: expect.stringContaining('the driver crashed') as string },
    });
    expect(await Promise.all(behind)).toEqual([1, 1]);
    expect(states.map(({ status }) => status)).toEqual(['rebuilding', 'ready']);
    expect(first.released).toBe(1);
  });

  it('rebuilds without being asked, each time', async () => {
    const { first, devices, ask } = setUp();
    first.lose('once');
    await sleep(20);
    devices[1]?.lose('twice');
    expect(await sleep(1).then(() => ask())).toBe(2);
    expect(devices.map(({ released }) => released)).toEqual([1, 1, 0]);
  });

  it('takes device_lost from a request for a loss that nobody told yet', async () => {
    const { first, ask } = setUp();
    first.logits = () => Promise.reject(new LoadError('device_lost', { message: 'map failed' }));
    await expect(ask()).rejects.toMatchObject({ code: 'device_lost', detail: { rebuilding: true } });
    first.lose('told later');
    expect(await ask()).toBe(1);
  });

  it('leaves other errors as they are, and the device where it is', async () => {
    const { first, ask, states } = setUp();
    const work = first.logits.bind(first);
    first.logits = () => Promise.reject(new LoadError('runtime_failed'));
    await expect(ask()).rejects.toMatchObject({ code: 'runtime_failed' });
    first.logits = work;
    expect(await ask()).toBe(0);
    expect(states).toEqual([]);
  });

  it('rebuilds where a request found no room on the GPU; not on WebAssembly, which has no device', async () => {
    const exhausted = (): Promise<never> =>
      Promise.reject(new LoadError('out_of_memory', { message: '9 bytes in use.', detail: { liveBytes: 9 } }));
    const { first, ask, states } = setUp();
    first.logits = exhausted;
    await expect(ask()).rejects.toMatchObject({
      code: 'out_of_memory',
      message: expect.stringMatching(/9 bytes in use.*being rebuilt/u) as string,
      detail: { liveBytes: 9, rebuilding: true },
    });
    expect(await ask()).toBe(1);
    expect(first.released).toBe(1);
    expect(states).toMatchObject([{ status: 'rebuilding', reason: { code: 'out_of_memory' } }, { status: 'ready' }]);

    const onWasm = setUp();
    Object.assign(onWasm.first, { lost: null, logits: exhausted });
    const model = new LastingModel(onWasm.first, { remake: () => Promise.reject(new Error()), onState: () => {} });
    const { signal } = new AbortController();
    await expect(model.logits([1], {}, signal)).rejects.toMatchObject({ code: 'out_of_memory', detail: {} });
    expect(onWasm.first.released).toBe(0);
  });

  it('tries again with a reason each time, then serves', async () => {
    const failures = [new LoadError('no_adapter'), new LoadError('out_of_memory'), null];
    const { first, ask, states } = setUp({ failures });
    first.lose('gone');
    await sleep(1);
    expect(await ask()).toBe(1);
    expect(states).toMatchObject([
      { status: 'rebuilding', attempt: 1, reason: { code: 'device_lost' } },
      { status: 'rebuilding', attempt: 2, reason: { code: 'no_adapter' } },
      { status: 'rebuilding', attempt: 3, reason: { code: 'out_of_memory' } },
      { status: 'ready' },
    ]);
  });

  it('gives up after so many attempts: every request fails with the last reason, the tokenizer works', async () => {
    const failures = Array.from({ length: REBUILD_ATTEMPTS + 5 }, () => new LoadError('no_adapter'));
    const { model, first, ask, states } = setUp({ failures });
    first.lose('gone');
    await sleep(1);
    for (let round = 0; round < 2; round++) {
      await expect(ask()).rejects.toMatchObject({ code: 'no_adapter', retryable: false });
    }
    expect(failures).toHaveLength(5);
    expect(states.at(-1)).toMatchObject({ status: 'failed', error: { code: 'no_adapter' } });
    expect(model.tokenize('', {})).toEqual([0]);
    await model.dispose();
    expect(first.released).toBeGreaterThan(0);
  });

  it('lets a request be cancelled that waits for a rebuild, or behind one that does', async () => {
    const { first, ask } = setUp({ rebuildMs: 60 });
    first.lose('gone');
    await sleep(1);
    const waiting = ask();
    const cancels = [new AbortController(), new AbortController()];
    const cancelled = cancels.map(({ signal }) => ask(signal));
    await sleep(5);
    for (const controller of cancels) controller.abort();
    for (const request of cancelled) await expect(request).rejects.toMatchObject({ code: 'aborted' });
    expect(await waiting).toBe(1);
  });

  it('ends a rebuild on dispose: what waits is told, nothing is left', async () => {
    const { model, first, devices, ask, states } = setUp({ rebuildMs: 10_000 });
    first.lose('gone');
    await sleep(1);
    const waiting = [ask(), ask()];
    await sleep(1);
    await model.dispose();
    for (const request of waiting) await expect(request).rejects.toMatchObject({ code: 'disposed' });
    await expect(ask()).rejects.toMatchObject({ code: 'disposed' });
    expect(states.map(({ status }) => status)).toEqual(['rebuilding']);
    expect(devices).toHaveLength(1);
  });

  it('ends what runs on dispose and releases the device once', async () => {
    const { model, first, ask } = setUp();
    first.workMs = 10_000;
    const running = ask();
    await sleep(1);
    await Promise.all([model.dispose(), model.dispose()]);
    await expect(running).rejects.toMatchObject({ code: 'disposed' });
    first.lose('after the end');
    await sleep(5);
    expect(first.released).toBe(1);
  });
});
