/**
 * Sequences on a model whose states cannot be cut back: what is computed is what a device that never saw anything else computes.
 */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { CachedDecoder } from '../../../src/pipeline/sequences/cached-decoder.ts';
import { StateHistory } from '../../../src/pipeline/sequences/state-history.ts';
import { generateOnDevice } from '../../../src/pipeline/serve/device-generation.ts';
import { GenerationOutput } from '../../../src/pipeline/serve/generation-output.ts';
import { TextStream } from '../../../src/pipeline/serve/text-stream.ts';
import { plainSettings } from './plain-settings.ts';
import { computeLogits, nextIdAfter, StatefulDevice, VOCAB } from './stateful-device.ts';
import type { StatefulDeviceOptions } from './stateful-device.ts';

const never = new AbortController().signal;

const ROOMY: StatefulDeviceOptions = {
  contextTokens: 400,
  mostTokens: 400,
  parkingSlots: 1,
  snapshotSlots: 4,
  hasLoop: true,
};

/** What a generation gives, one token after another. */
function expectedIds(prompt: readonly number[], maxNewTokens: number, eosId: number | null): number[] {
  const ids: number[] = [];
  do ids.push(nextIdAfter([...prompt, ...ids]));
  while (ids.length < maxNewTokens && ids.at(-1) !== eosId);
  return ids;
}

async function generate(
  decoder: CachedDecoder,
  prompt: readonly number[],
  maxNewTokens: number,
  eosId: number | null,
  signal: AbortSignal = never,
  onToken: (count: number) => void = () => undefined,
): Promise<{ ids: number[]; reusedTokens: number }> {
  const settings = { ...plainSettings(maxNewTokens), eosIds: new Set(eosId === null ? [] : [eosId]) };
  const ids: number[] = [];
  const text = new TextStream({ decoder: { push: (id) => `${id} `, end: () => '' }, promptRest: '' }, []);
  const output = new GenerationOutput(text, settings, ({ id }) => onToken(ids.push(id)));
  const { reusedTokens } = await generateOnDevice({ decoder }, prompt, settings, () => 0, output, signal);
  return { ids, reusedTokens };
}

async function open(options: StatefulDeviceOptions, maxContextTokens = options.mostTokens) {
  const device = new StatefulDevice(options);
  const decoder = new CachedDecoder(device, { maxContextTokens, chunkTokens: 16 });
  if (options.hasLoop) {
    expect(await decoder.prepareTokenLoop(await decoder.logitsFor([1, 2], never))).toBeNull();
    decoder.reset();
  }
  device.ranTokens = 0;
  return { device, decoder };
}

const id = fc.nat(VOCAB - 1);

const event = fc.record({
  /** Which of the conversations, and how much of what was said in it stays: the rest is said anew. */
  conversation: fc.nat(2),
  keeps: fc.constantFrom('all', 'prompt', 'half', 'none'),
  says: fc.array(id, { minLength: 0, maxLength: 24 }),
  answerTokens: fc.nat(20),
  eosId: fc.option(id, { nil: null }),
  end: fc.constantFrom('itself', 'itself', 'abort', 'failure', 'reset'),
  endAfter: fc.nat(4),
});

describe('sequences on states that cannot be cut back', () => {
  it('compute what a fresh device computes: turns, edits, regenerations, aborts, failures, parking, growth', async () => {
    const options = fc.record({
      contextTokens: fc.constantFrom(24, 64, 400),
      mostTokens: fc.constantFrom(150, 400),
      parkingSlots: fc.nat(2),
      snapshotSlots: fc.integer({ min: 1, max: 4 }),
      hasLoop: fc.boolean(),
    });
    await fc.assert(
      fc.asyncProperty(options, fc.array(event, { minLength: 1, maxLength: 8 }), async (given, events) => {
        const { device, decoder } = await open(given);
        const conversations = [[], [], []].map(() => ({ prompt: [] as number[], all: [] as number[] }));
        for (const { conversation, keeps, says, answerTokens, eosId, end, endAfter } of events) {
          const known = conversations[conversation];
          if (!known) continue;
          const { prompt, all } = known;
          const kept = { all, prompt, half: all.slice(0, all.length / 2), none: [] }[keeps];
          const asked = [...kept, ...says];
          if (asked.length === 0) continue;
          known.prompt = asked;
          known.all = [...asked];
          if (end === 'reset') decoder.reset();
          if (end === 'failure') device.failsIn = endAfter;
          const abort = new AbortController();
          if (end === 'abort' && endAfter === 0) device.onRun = () => abort.abort();
          try {
            if (answerTokens === 0 || !given.hasLoop) {
              expect([...(await decoder.logitsFor(asked, abort.signal))]).toEqual(computeLogits(asked));
            } else {
              const expected = expectedIds(asked, answerTokens, eosId);
              const { ids } = await generate(decoder, asked, answerTokens, eosId, abort.signal, (count) => {
                known.all.push(expected[count - 1] ?? -1);
                if (end === 'abort' && count >= endAfter) abort.abort();
              });
              expect(ids).toEqual(expected.slice(0, ids.length));
              if (ids.length < expected.length) expect(asked.length + ids.length).toBe(decoder.contextTokens);
            }
          } catch (error) {
            const isMeant =
              abort.signal.aborted ||
              (error instanceof Error && error.message === 'failed') ||
              (error as { code?: string }).code === 'context_exceeded';
            if (!isMeant) throw error;
          }
          device.failsIn = Infinity;
          device.onRun = () => undefined;
        }
        const sequence = [...(conversations[0]?.all ?? []), 3].slice(0, decoder.contextTokens);
        expect([...(await decoder.logitsFor(sequence, never))]).toEqual(computeLogits(sequence));
        expect(device.faults).toEqual([]);
      }),
      { numRuns: 300 },
    );
  });

  it('regenerate from before the last token of the prompt, and go on from where an answer ended', async () => {
    const { device, decoder } = await open(ROOMY);
    const prompt = [1, 2, 3, 4, 5, 6, 1, 2, 3];
    const first = await generate(decoder, prompt, 5, null);
    expect(first.reusedTokens).toBe(0);
    const again = await generate(decoder, prompt, 5, null);
    expect(again).toEqual({ ids: first.ids, reusedTokens: prompt.length - 1 });
    device.ranTokens = 0;
    const next = await generate(decoder, [...prompt, ...first.ids, 6, 6], 1, null);
    expect(next.reusedTokens).toBe(prompt.length + 5 - 1);
    expect(device.ranTokens).toBe(3); // the token of the answer that never ran, and the two new ones
    const edited = await generate(decoder, [...prompt, 6, 5], 1, null);
    expect(edited.reusedTokens).toBe(prompt.length - 1);
  });

  it('run an answer again whose end the device ran past, from the prompt on', async () => {
    const { decoder } = await open(ROOMY);
    const prompt = [1, 2, 3];
    const all = expectedIds(prompt, 8, null);
    const eosId = all[3] ?? -1;
    const { ids } = await generate(decoder, prompt, 30, eosId);
    const next = await generate(decoder, [...prompt, ...ids, 6], 1, null);
    expect(next.reusedTokens).toBe(prompt.length - 1);
  });

  it('come back whole after another conversation', async () => {
    const { decoder } = await open(ROOMY);
    const long = (seed: number): number[] => Array.from({ length: 40 }, (_, index) => (index * seed + seed) % VOCAB);
    await decoder.logitsFor(long(2), never);
    await decoder.logitsFor(long(3), never);
    expect([...(await decoder.logitsFor([...long(2), 1], never))]).toEqual(computeLogits([...long(2), 1]));
    expect(decoder.reusedTokens).toBe(40);
  });
});

describe('StateHistory', () => {
  it('restores the longest copy that is a beginning of the ids, and gives up the least recently used', () => {
    const calls: string[] = [];
    const history = new StateHistory({
      slotCount: 2,
      take: (slot) => calls.push(`take ${slot}`),
      restore: (slot) => calls.push(`restore ${slot}`),
      clear: () => calls.push('clear'),
    });
    history.take([1, 2]);
    history.take([1, 2, 3, 4]);
    expect(history.reach([1, 2, 3, 4, 5], 5)).toBe(4);
    expect(history.reach([1, 2, 3, 4, 5], 3)).toBe(2);
    expect(history.reach([1, 9], 2)).toBe(0);
    expect(history.restore([1, 2, 9], 3)).toBe(2);
    history.take([7]); // in place of the longer one, which was used before the shorter
    expect(history.restore([1, 2, 3, 4], 4)).toBe(2);
    history.take([7]); // there is one already
    history.take([8]);
    expect([history.reach([1, 2], 2), history.reach([7], 1), history.reach([8], 1)]).toEqual([0, 1, 1]);
    history.clear();
    expect(history.restore([1, 2], 2)).toBe(0);
    expect(calls).toEqual(['take 0', 'take 1', 'restore 0', 'take 1', 'restore 0', 'take 1', 'take 0', 'clear']);
  });
});
