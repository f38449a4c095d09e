import { describe, expect, it } from 'vitest';
import fc from 'fast-check';
import { CachedDecoder } from '../../../src/pipeline/serve/cached-decoder.ts';
import type { Decoder } from '../../../src/runtime/decoder.ts';

/** A decoder whose logits are the ids that its cache holds: what a real one computes from, seen from outside. */
class EchoDecoder implements Decoder {
  readonly contextTokens = 2000;
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

  it('refuses a sequence beyond the context', async () => {
    const decoder = new CachedDecoder(new EchoDecoder());
    await expect(decoder.logitsFor(Array<number>(2001).fill(1), signal)).rejects.toMatchObject({
      code: 'context_exceeded',
      detail: { promptTokens: 2001, contextTokens: 2000, maxContextTokens: 2000 },
    });
  });
});
