/**
 * One connection against the real local hub, with Node's fetch and a sink in memory. (CORS, OPFS and several connections:
 * test/browser/fetch.)
 */
import { createHash } from 'node:crypto';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { LoadError } from '../../../src/contract/errors.ts';
import { createBodyBuffers } from '../../../src/pipeline/fetch/body-reader.ts';
import { transferRange, type BodyAccount, type RangeSink } from '../../../src/pipeline/fetch/transfer-range.ts';
import { DEFAULT_TUNING } from '../../../src/pipeline/fetch/tuning.ts';
import { addInterval, missingIntervals, type Interval } from '../../../src/store/intervals.ts';
import { startHub, type FaultRule, type Hub } from '../../hub/index.ts';

const SIZE = 300_000;
const FILE = 'model.safetensors';
let hub: Hub;
let original: Uint8Array;

beforeAll(async () => {
  original = Uint8Array.from({ length: SIZE }, (_, index) => (index * 7 + (index >> 8)) % 256);
  hub = await startHub({ repositories: { 'a/b': { main: { files: { [FILE]: original } } } } });
});
afterAll(() => hub.close());
beforeEach(() => hub.behave());

class MemorySink implements RangeSink {
  readonly buffers = createBodyBuffers();
  readonly bytes = new Uint8Array(SIZE);
  readonly server = { directUrl: null as string | null, rangesWork: false, wholeOnly: false };
  intervals: readonly Interval[] = [];
  networkBytes = 0;
  openBodies = 0;
  whole = 0;

  nextMissing(position: number): number {
    return missingIntervals(this.intervals, position, SIZE)[0]?.start ?? SIZE;
  }

  accept(answer: { whole: boolean }): boolean {
    if (answer.whole) this.whole++;
    return true;
  }

  async write(offset: number, bytes: Uint8Array): Promise<number> {
    const fresh = missingIntervals(this.intervals, offset, offset + bytes.byteLength);
    this.bytes.set(bytes, offset);
    this.intervals = addInterval(this.intervals, offset, offset + bytes.byteLength);
    return fresh.reduce((sum, gap) => sum + gap.end - gap.start, 0);
  }

  openAccount(): BodyAccount {
    this.openBodies++;
    return {
      add: ({ sizeBytes }) => (this.networkBytes += sizeBytes),
      close: () => this.openBodies--,
    };
  }
}

async function run(
  sink: MemorySink,
  start: number,
  end: number,
  signal: AbortSignal = new AbortController().signal,
): Promise<void> {
  const { sha } = hub.commitOf('a/b');
  await transferRange({
    request: {
      url: `${hub.endpoint}/a/b/resolve/${sha}/${FILE}`,
      endpoint: hub.endpoint,
      token: null,
      modelId: 'a/b',
      commit: sha,
      path: FILE,
      sizeBytes: SIZE,
      hasHash: true,
    },
    start,
    end,
    sink,
    signal,
    tuning: { ...DEFAULT_TUNING, stallTimeoutMs: 400, headersTimeoutMs: 20_000, firstDelayMs: 5, maxDelayMs: 20 },
  });
}

const content = (rule: Omit<FaultRule, 'kinds'>): FaultRule => ({ ...rule, kinds: ['content'] });

describe('transferRange', () => {
  it('brings exactly the range, at its offset, and then asks the CDN directly', async () => {
    const sink = new MemorySink();
    await run(sink, 1000, 5000);
    expect(sink.intervals).toEqual([{ start: 1000, end: 5000 }]);
    expect(sink.bytes.subarray(1000, 5000)).toEqual(original.subarray(1000, 5000));
    expect(sink.networkBytes).toBe(4000);
    const before = hub.requests.entries.length;
    await run(sink, 5000, 6000);
    expect(hub.requests.entries.slice(before).map((request) => request.server)).toEqual(['cdn']);
  });

  it('asks for nothing that is there', async () => {
    const sink = new MemorySink();
    await run(sink, 0, 1000);
    const before = hub.requests.entries.length;
    await run(sink, 0, 1000);
    expect(hub.requests.entries.length).toBe(before);
  });

  it.each<readonly [string, FaultRule]>([
    ['cuts', content({ fault: { type: 'cutRandom', seed: 3 }, times: 5 })],
    ['stalls', content({ fault: { type: 'stall', afterBytes: 9_000 }, times: 2 })],
    ['503', content({ fault: { type: 'status', status: 503 }, times: 4 })],
    ['wrong ranges', content({ fault: { type: 'contentRange', shiftBytes: -1 }, times: 2 })],
    ['wrong ranges for ever', content({ fault: { type: 'contentRange', shiftBytes: 8 }, times: Infinity })],
    ['a whole body', content({ fault: { type: 'wholeBody' }, times: Infinity })],
    ['an expired signature', content({ fault: { type: 'expired' }, times: 1 })],
  ])('lives through %s', async (_name, rule) => {
    const sink = new MemorySink();
    const active = hub.misbehave(rule);
    await run(sink, 0, SIZE);
    expect(active.used).toBeGreaterThan(0);
    expect(createHash('sha256').update(sink.bytes).digest('hex')).toBe(hub.commitOf('a/b').files.get(FILE)?.sha256);
  });

  it('takes a burst of 503 for no verdict on ranges', async () => {
    const sink = new MemorySink();
    hub.misbehave(content({ fault: { type: 'status', status: 503 }, times: 5 }));
    await run(sink, 0, SIZE);
    expect(sink.whole).toBe(0);
    expect(sink.networkBytes).toBe(SIZE);
    expect(sink.openBodies).toBe(0);
  });

  it('gives up after a bounded number of attempts without a byte, and says what it saw last', async () => {
    const rule = hub.misbehave(content({ fault: { type: 'status', status: 502 }, times: Infinity }));
    await expect(run(new MemorySink(), 0, SIZE)).rejects.toMatchObject({
      code: 'http_status',
      detail: { status: 502 },
    });
    expect(rule.used).toBe(DEFAULT_TUNING.maxAttempts);
  });

  it('fails at once where trying again cannot help', async () => {
    const rule = hub.misbehave({ fault: { type: 'status', status: 404 }, kinds: ['resolve'], times: Infinity });
    await expect(run(new MemorySink(), 0, SIZE)).rejects.toMatchObject({ code: 'file_not_found' });
    expect(rule.used).toBe(1);
  });

  it('ends with `aborted` when told to, in the middle of a silence', async () => {
    hub.misbehave(content({ fault: { type: 'stall', afterBytes: 100 }, times: Infinity }));
    const stop = new AbortController();
    const running = run(new MemorySink(), 0, SIZE, stop.signal);
    setTimeout(() => stop.abort(), 50);
    await expect(running).rejects.toSatisfy((error) => error instanceof LoadError && error.code === 'aborted');
  });

  it('puts no signature into an error', async () => {
    const sink = new MemorySink();
    await run(sink, 0, 10);
    hub.misbehave(content({ fault: { type: 'status', status: 418 }, times: Infinity }));
    const error: unknown = await run(sink, 10, 20).catch((thrown: unknown) => thrown);
    expect(error).toBeInstanceOf(LoadError);
    expect(JSON.stringify(error) + (error as Error).message).not.toContain('Signature');
  });
});
