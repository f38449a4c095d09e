import { describe, expect, it } from 'vitest';
import fc from 'fast-check';
import { CachedDecoder } from '../../../src/pipeline/sequences/cached-decoder.ts';
import type { Decoder, GrowthRequest, GrowthResult } from '../../../src/runtime/decoder.ts';

/** A decoder whose logits are the ids that its cache holds: what a real one computes from, seen from outside. */
class EchoDecoder implements Decoder {
  contextTokens = 2000;
  /** What there is memory for. */
  mostTokens = 2000;
  readonly runs: { count: number; start: number }[] = [];
  failAtRun = -1;
  onRun: () => void = () => undefined;
  #cache: number[] = [];
  run(ids: readonly number[], startPosition: number): Promise<Float32Array> {
    if (startPosition > this.#cache.length) throw new Error('a hole in the cache');
    if (this.runs.length === this.failAtRun) {
      this.failAtRun = -1;
      this.#cache = this.#cache.slice(0, startPosition);
      return Promise.reject(new Error('failed'));
    }
    this.runs.push({ count: ids.length, start: startPosition });
    this.onRun();
    this.#cache = [...this.#cache.slice(0, startPosition), ...ids];
    return Promise.resolve(Float32Array.from(this.#cache));
  }
  grow({ steps, liveTokens }: GrowthRequest): Promise<GrowthResult> {
    const step = steps.find((tokens) => tokens <= this.mostTokens);
    this.#cache = this.#cache.slice(0, liveTokens);
    this.contextTokens = step ?? this.contextTokens;
    return Promise.resolve({ grown: step !== undefined, forgotten: [] });
  }
  release(): Promise<void> {
    return Promise.resolve();
  }
}

const { signal } = new AbortController();

describe('CachedDecoder', () => {
  it('computes from exactly the asked sequence, whatever came before, failures included', async () => {
    const ids = fc.array(fc.nat(2), { minLength: 1, maxLength: 12 });
    await fc.assert(
      fc.asyncProperty(fc.array(ids, { maxLength: 8 }), fc.nat(10), async (sequences, failAtRun) => {
        const echo = new EchoDecoder();
        echo.failAtRun = failAtRun;
        const decoder = new CachedDecoder(echo);
        for (const sequence of sequences) {
          const logits = await decoder.logitsFor(sequence, signal).catch(() => null);
          if (logits) expect([...logits]).toEqual(sequence);
        }
      }),
    );
  });

  it('runs only the tail of a sequence that continues the cached one, and at least one token', async () => {
    const echo = new EchoDecoder();
    const decoder = new CachedDecoder(echo);
    await decoder.logitsFor([1, 2, 3, 4], signal);
    await decoder.logitsFor([1, 2, 3, 4, 5, 6], signal);
    expect(decoder.reusedTokens).toBe(4);
    await decoder.logitsFor([1, 2, 3, 4, 5, 6], signal);
    await decoder.logitsFor([1, 2, 9], signal);
    expect(echo.runs).toEqual([
      { start: 0, count: 4 },
      { start: 4, count: 2 },
      { start: 5, count: 1 },
      { start: 2, count: 1 },
    ]);
  });

  it('cuts a long prompt into chunks and can be aborted between them', async () => {
    const echo = new EchoDecoder();
    const decoder = new CachedDecoder(echo);
    const prompt = Array.from({ length: 1300 }, (_, index) => index % 7);
    expect([...(await decoder.logitsFor(prompt, signal))]).toEqual(prompt);
    expect(echo.runs.map(({ count }) => count)).toEqual([512, 512, 276]);

    decoder.reset();
    const abort = new AbortController();
    echo.onRun = () => abort.abort();
    const running = decoder.logitsFor(prompt, abort.signal);
    await expect(running).rejects.toMatchObject({ code: 'aborted' });
    expect(echo.runs).toHaveLength(4);
  });

  it('refuses a sequence beyond the context, and says what would help', async () => {
    const long = (length: number): number[] => Array<number>(length).fill(1);
    const fixed = new CachedDecoder(new EchoDecoder());
    await expect(fixed.logitsFor(long(2001), signal)).rejects.toMatchObject({
      code: 'context_exceeded',
      message: expect.stringMatching(/2001 tokens.*at most 2000 tokens.*can have no more/u) as unknown,
      detail: { promptTokens: 2001, contextTokens: 2000, maxContextTokens: 2000 },
    });
    const asked = new CachedDecoder(new EchoDecoder(), { maxContextTokens: 2000, longestContextTokens: 8000 });
    await expect(asked.logitsFor(long(2001), signal)).rejects.toThrow(
      /load with a larger contextTokens \(up to 8000\)/u,
    );

    const echo = new EchoDecoder();
    echo.mostTokens = 3000;
    const growing = new CachedDecoder(echo, { maxContextTokens: 8000 });
    expect(await growing.logitsFor(long(2500), signal)).toHaveLength(2500);
    expect(growing.contextTokens).toBe(2816); // the double was refused
    await expect(growing.logitsFor(long(2900), signal)).rejects.toMatchObject({
      message: expect.stringMatching(/holds 2816 tokens.*no room now.*at most 8000/u) as unknown,
      detail: { promptTokens: 2900, contextTokens: 2816, maxContextTokens: 8000 },
    });
    await expect(growing.logitsFor(long(8001), signal)).rejects.toThrow(/at most 8000 tokens/u);
  });

  it('grows without losing what it holds, and stays usable where it cannot', async () => {
    const ids = fc.array(fc.nat(2), { minLength: 1, maxLength: 100 });
    await fc.assert(
      fc.asyncProperty(fc.array(ids, { maxLength: 6 }), fc.integer({ min: 10, max: 120 }), async (sequences, most) => {
        const echo = new EchoDecoder();
        echo.contextTokens = 10;
        echo.mostTokens = most;
        const decoder = new CachedDecoder(echo, { maxContextTokens: 90 });
        for (const sequence of sequences) {
          const logits = await decoder.logitsFor(sequence, signal).catch((error: unknown) => error);
          if (logits instanceof Error) {
            expect(logits).toMatchObject({ code: 'context_exceeded' });
            expect(sequence.length).toBeGreaterThan(Math.min(decoder.contextTokens, 90));
          } else expect([...(logits as Float32Array)]).toEqual(sequence);
        }
      }),
    );
  });
});
