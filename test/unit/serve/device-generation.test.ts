import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { GenerateSettings } from '../../../src/pipeline/serve/generate-settings.ts';
import { CachedDecoder } from '../../../src/pipeline/sequences/cached-decoder.ts';
import { generateOnDevice } from '../../../src/pipeline/serve/device-generation.ts';
import type { DeviceGeneration } from '../../../src/pipeline/serve/device-generation.ts';
import { GenerationOutput } from '../../../src/pipeline/serve/generation-output.ts';
import { TextStream } from '../../../src/pipeline/serve/text-stream.ts';
import { plainSettings } from './plain-settings.ts';
import type {
  ChoiceRule,
  ChoiceStep,
  Decoder,
  GrowthRequest,
  GrowthResult,
  TokenLoop,
} from '../../../src/runtime/decoder.ts';

const VOCAB = 11;

/** What a model would say next, from all that it has read. */
const nextId = (cache: readonly number[]): number =>
  cache.reduce((sum, id) => (sum * 31 + id + 7) % 1_000_003, 1) % VOCAB;

/**
 * A device seen from outside: a queue of submitted work on one KV cache. Work is done in order, some time after it was
 * submitted; ids arrive then.
 */
class QueueDevice implements Decoder, TokenLoop {
  contextTokens = 500;
  /** What there is memory for. */
  mostTokens = 500;
  growths = 0;
  /** After so many growths what was recorded writes rubbish, and fails its proof. */
  failingGrowth = Infinity;
  ready = false;
  readonly tokenLoop = this;
  readonly cache: number[] = [];
  readonly steps: ChoiceStep[] = [];
  /** Those of earlier `begin`s too, while the sequence goes on. */
  readonly allSteps: ChoiceStep[] = [];
  seenIds: readonly number[] = [];
  rule: ChoiceRule | null = null;
  mostUnread = 0;
  /** The choice with this index is never answered: the device is lost. */
  lostAt = Infinity;
  #unread = 0;
  #chosen = { id: -1, position: -1 };
  #queue: Promise<unknown> = Promise.resolve();

  capture(): Promise<void> {
    return Promise.resolve();
  }
  async prepare(id: number, position: number): Promise<void> {
    // The recorded step runs for real.
    if (this.growths >= this.failingGrowth) {
      await this.#submit(() => this.cache.fill(VOCAB));
      throw new Error('other logits');
    }
    await this.#submit(() => this.#write([id], position));
    this.ready = true;
  }
  async grow({ steps, liveTokens }: GrowthRequest): Promise<GrowthResult> {
    if (this.#unread > 0) throw new Error('something is under way');
    const step = steps.find((tokens) => tokens <= this.mostTokens);
    if (step === undefined) return { grown: false, forgotten: [] };
    await this.#submit(() => this.cache.splice(liveTokens, Infinity));
    this.contextTokens = step;
    this.growths++;
    this.ready = false;
    return { grown: true, forgotten: [] };
  }
  async run(ids: readonly number[], start: number): Promise<Float32Array> {
    await this.prefill(ids, start);
    await this.#queue;
    return Float32Array.from(this.cache);
  }
  prefill(ids: readonly number[], start: number): Promise<void> {
    void this.#submit(() => this.#write(ids, start));
    return Promise.resolve();
  }
  begin(seenIds: readonly number[], rule: ChoiceRule): void {
    this.rule = rule;
    this.seenIds = seenIds;
    if (seenIds.length <= (this.allSteps[0]?.position ?? 0)) this.allSteps.length = 0;
    this.steps.length = 0;
  }
  choose(step: ChoiceStep): Promise<number> {
    if (!this.ready) throw new Error('not prepared');
    this.allSteps.push(step);
    const index = this.steps.push(step) - 1;
    this.mostUnread = Math.max(this.mostUnread, ++this.#unread);
    const reading = this.#submit(() => {
      this.#unread--;
      if (index >= this.lostAt) throw new Error('lost');
      this.#chosen = { id: nextId(this.cache), position: step.position };
      return this.#chosen.id;
    });
    reading.catch(() => undefined);
    return reading;
  }
  advance(): Promise<void> {
    void this.#submit(() => this.#write([this.#chosen.id], this.#chosen.position));
    return Promise.resolve();
  }
  release(): Promise<void> {
    return Promise.resolve();
  }
  #write(ids: readonly number[], start: number): void {
    if (start < 0) return; // nothing was ever chosen: the device was lost before
    if (start > this.cache.length) throw new Error('a hole in the cache');
    if (start + ids.length > this.contextTokens) throw new Error('beyond the cache');
    this.cache.splice(start, Infinity, ...ids);
  }
  #submit<T>(work: () => T): Promise<T> {
    const done = this.#queue.then(() => new Promise<void>((resolve) => setImmediate(resolve))).then(work);
    this.#queue = done.catch(() => undefined);
    return done;
  }
}

const settings = (changes: Partial<GenerateSettings> = {}): GenerateSettings => ({
  ...plainSettings(20),
  ...changes,
});

async function open(room = 500, max = room): Promise<{ device: QueueDevice; decoder: CachedDecoder }> {
  const device = new QueueDevice();
  device.contextTokens = room;
  const decoder = new CachedDecoder(device, { maxContextTokens: max });
  const { signal } = new AbortController();
  const logits = await decoder.logitsFor([1], signal);
  expect(await decoder.prepareTokenLoop(logits)).toBeNull();
  decoder.reset();
  return { device, decoder };
}

async function generate(
  decoder: CachedDecoder,
  prompt: readonly number[],
  given: GenerateSettings,
  signal: AbortSignal = new AbortController().signal,
  onToken: (count: number) => void = () => undefined,
): Promise<DeviceGeneration & { ids: number[]; output: GenerationOutput }> {
  const ids: number[] = [];
  const text = new TextStream({ decoder: { push: (id) => `${id} `, end: () => '' }, promptRest: '' }, given.stops);
  const output = new GenerationOutput(text, given, ({ id }) => onToken(ids.push(id)));
  const result = await generateOnDevice({ decoder }, prompt, given, () => 0, output, signal);
  return { ids, output, ...result };
}

/** The same, one step after another. */
function expectedIds(prompt: readonly number[], { maxNewTokens, eosIds }: GenerateSettings): number[] {
  const sequence = [...prompt];
  do sequence.push(nextId(sequence));
  while (sequence.length < prompt.length + maxNewTokens && !eosIds.has(sequence.at(-1) ?? -1));
  return sequence.slice(prompt.length);
}

describe('generateOnDevice', () => {
  it('gives the tokens of a step-by-step loop and knows its cache, whatever came before', async () => {
    const request = fc.record({
      prompt: fc.array(fc.nat(VOCAB - 1), { minLength: 1, maxLength: 6 }),
      continues: fc.boolean(),
      maxNewTokens: fc.integer({ min: 1, max: 12 }),
      eosId: fc.option(fc.nat(VOCAB - 1), { nil: null }),
      end: fc.constantFrom('itself', 'abort', 'loss'),
      endAfter: fc.nat(6),
    });
    await fc.assert(
      fc.asyncProperty(fc.array(request, { minLength: 1, maxLength: 5 }), async (requests) => {
        const { device, decoder } = await open();
        let last: number[] = [];
        for (const { prompt, continues, maxNewTokens, eosId, end, endAfter } of requests) {
          const whole = continues ? [...last, ...prompt] : prompt;
          const given = settings({ maxNewTokens, eosIds: new Set(eosId === null ? [] : [eosId]) });
          const expected = expectedIds(whole, given);
          const abort = new AbortController();
          device.lostAt = end === 'loss' ? endAfter : Infinity;
          const got: number[] = [];
          const result = await generate(decoder, whole, given, abort.signal, (count) => {
            got.push(expected[count - 1] ?? -1);
            if (end === 'abort' && count > endAfter) abort.abort();
          }).catch((error: unknown) => error);
          if (!(result instanceof Error)) {
            expect((result as { ids: number[] }).ids).toEqual(expected);
            last = [...whole, ...expected];
          } else last = [...whole, ...got];
          device.lostAt = Infinity;
        }
        // What the decoder takes to be in the cache is there: else these logits would be those of another sequence.
        const { signal } = new AbortController();
        expect([...(await decoder.logitsFor([...last, 3], signal))]).toEqual([...last, 3]);
      }),
      { numRuns: 60 },
    );
  });

  it('reuses the prompt and all tokens but the last, which never ran', async () => {
    const { decoder } = await open();
    const { ids } = await generate(decoder, [1, 2, 3], settings({ maxNewTokens: 5 }));
    const { reusedTokens } = await generate(decoder, [1, 2, 3, ...ids, 9], settings({ maxNewTokens: 1 }));
    expect(reusedTokens).toBe(3 + 5 - 1);
  });

  it('submits ahead, but a bounded number of steps and never beyond the last token', async () => {
    const { device, decoder } = await open();
    await generate(decoder, [5], settings({ maxNewTokens: 30 }));
    expect(device.mostUnread).toBeGreaterThan(1);
    expect(device.mostUnread).toBeLessThanOrEqual(8);
    expect(device.steps).toHaveLength(30);
    expect(device.steps.map(({ position }) => position)).toEqual(Array.from({ length: 30 }, (_, index) => 1 + index));
  });

  it('emits nothing after an abort, and rejects without waiting for the device', async () => {
    const { decoder } = await open();
    const abort = new AbortController();
    let most = 0;
    const running = generate(decoder, [5], settings({ maxNewTokens: 100 }), abort.signal, (count) => {
      most = count;
      if (count === 4) abort.abort();
    });
    await expect(running).rejects.toMatchObject({ code: 'aborted' });
    expect(most).toBe(4);
  });

  it('forbids the end tokens until there are enough', async () => {
    const { device, decoder } = await open();
    await generate(decoder, [5], settings({ maxNewTokens: 6, minNewTokens: 4, eosIds: new Set([99, 98]) }));
    expect(device.rule?.forbiddenIds).toEqual([99, 98]);
    expect(device.steps.map(({ forbid }) => forbid)).toEqual([true, true, true, true, false, false]);
  });

  it('forbids what is suppressed for as long as it is', async () => {
    const { device, decoder } = await open();
    await generate(decoder, [5], settings({ maxNewTokens: 3, suppressedIds: [97, 96] }));
    expect(device.rule?.forbiddenIds).toEqual([97, 96]);
    expect(device.steps.map(({ forbid }) => forbid)).toEqual([true, true, true]);
    await generate(decoder, [6], settings({ maxNewTokens: 3, beginSuppressedIds: [95] }));
    expect(device.rule?.forbiddenIds).toEqual([95]);
    expect(device.steps.map(({ forbid }) => forbid)).toEqual([true, false, false]);
  });

  it('ends at a stop string, and drops what was computed beyond it', async () => {
    const { device, decoder } = await open();
    const expected = expectedIds([5], settings());
    const stop = `${expected[3]} ${expected[4]} `;
    const { ids, output } = await generate(decoder, [5], settings({ stops: [stop] }));
    expect(output.finishReason).toBe('stop');
    expect(ids).toEqual(expected.slice(0, ids.length));
    expect(ids.length).toBeLessThan(20);
    expect(device.steps.length).toBeGreaterThanOrEqual(ids.length);
  });

  it('grows when the cache is full, and gives the tokens of one that was large from the beginning', async () => {
    const request = fc.record({
      prompt: fc.array(fc.nat(VOCAB - 1), { minLength: 1, maxLength: 9 }),
      maxNewTokens: fc.integer({ min: 1, max: 100 }),
      abortAfter: fc.option(fc.nat(40), { nil: null }),
    });
    const numbers = fc.record({
      room: fc.integer({ min: 10, max: 30 }),
      most: fc.integer({ min: 10, max: 200 }),
      max: fc.integer({ min: 30, max: 120 }),
    });
    await fc.assert(
      fc.asyncProperty(numbers, fc.array(request, { minLength: 1, maxLength: 3 }), async (given, requests) => {
        const { device, decoder } = await open(given.room, given.max);
        device.mostTokens = given.most;
        let last: number[] = [];
        for (const { prompt, maxNewTokens, abortAfter } of requests) {
          const { signal } = new AbortController();
          if ((await decoder.makeRoom(prompt, 1, signal)) !== null) continue;
          const limit = given.max - prompt.length;
          const wanted = settings({
            maxNewTokens: Math.min(maxNewTokens, limit),
            limitedByContext: maxNewTokens > limit,
          });
          const expected = expectedIds(prompt, wanted);
          const abort = new AbortController();
          let count = 0;
          const result = await generate(decoder, prompt, wanted, abort.signal, (made) => {
            count = made;
            if (made === abortAfter) abort.abort();
          }).catch((error: unknown) => error);
          last = [...prompt, ...expected.slice(0, count)];
          if (result instanceof Error) {
            expect(result).toMatchObject({ code: 'aborted' });
            continue;
          }
          const { ids, output } = result as { ids: number[]; output: GenerationOutput };
          expect(ids).toEqual(expected.slice(0, ids.length));
          const isFull = prompt.length + ids.length === device.contextTokens;
          if (output.finishReason === 'length') expect(ids).toHaveLength(maxNewTokens);
          else expect({ reason: output.finishReason, isFull }).toEqual({ reason: 'context', isFull: true });
          // It ends short only where the device refused even the least step.
          if (ids.length < expected.length) {
            expect(output.contextNote).toMatch(/no room now/);
            expect(device.contextTokens * 1.125).toBeGreaterThan(device.mostTokens - 64);
          }
        }
        if (last.length === 0 || last.length >= device.contextTokens) return;
        const { signal } = new AbortController();
        expect([...(await decoder.logitsFor([...last, 3], signal))]).toEqual([...last, 3]);
      }),
      { numRuns: 60 },
    );
  });

  it('grows for what is written, not for what may be asked for', async () => {
    const { device, decoder } = await open(16, 400);
    const endless = settings({ maxNewTokens: 390, eosIds: new Set([expectedIds([5], settings())[9] ?? -1]) });
    const { ids } = await generate(decoder, [5], endless);
    expect(ids.length).toBeLessThanOrEqual(10);
    expect(device.contextTokens).toBe(16);
    await generate(decoder, [5], settings({ maxNewTokens: 390 }));
    expect([device.contextTokens, device.growths]).toEqual([400, 5]);
  });

  it('goes on counting what was seen, and where it is, across growths', async () => {
    const { device, decoder } = await open(16, 64);
    const wanted = settings({ maxNewTokens: 50, minNewTokens: 30, eosIds: new Set([77]) });
    await generate(decoder, [5, 6], wanted);
    expect(device.growths).toBe(2);
    expect(device.seenIds).toEqual([5, 6, ...expectedIds([5, 6], wanted).slice(0, 30)]);
    expect(device.allSteps.map(({ position }) => position)).toEqual(
      Array.from({ length: 50 }, (_, index) => 2 + index),
    );
    expect(device.allSteps.map(({ forbid }) => forbid).lastIndexOf(true)).toBe(29);
  });

  it('hands over what it has where a step that was recorded anew fails its proof, and nothing of that step stays', async () => {
    const failing = fc.record({
      prompt: fc.array(fc.nat(VOCAB - 1), { minLength: 1, maxLength: 9 }),
      failingGrowth: fc.integer({ min: 1, max: 3 }),
    });
    await fc.assert(
      fc.asyncProperty(failing, async ({ prompt, failingGrowth }) => {
        const { device, decoder } = await open(16, 400);
        device.failingGrowth = failingGrowth;
        const wanted = settings({ maxNewTokens: 200 });
        const { ids, output, unfinishedIds } = await generate(decoder, prompt, wanted);
        expect(output.finishReason).toBeNull();
        expect(ids).toEqual(expectedIds(prompt, wanted).slice(0, ids.length));
        expect(unfinishedIds).toEqual([...prompt, ...ids]);
        expect(unfinishedIds).toHaveLength(16 * 2 ** (failingGrowth - 1));
        expect(decoder.tokenLoop).toBeNull();
        expect(decoder.tokenLoopObstacle).toMatch(/after the KV cache had grown, failed its proof: other logits/u);
        const { signal } = new AbortController();
        expect([...(await decoder.logitsFor([...prompt, ...ids, 3], signal))]).toEqual([...prompt, ...ids, 3]);
      }),
      { numRuns: 30 },
    );
  });
});
