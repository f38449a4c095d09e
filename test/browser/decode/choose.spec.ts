/**
 * The kernels that choose tokens on the GPU against the rules in JavaScript (`serve/sampling.ts`): the same tokens for the
 * same draws, over the whole range of draws, and so the same distribution.
 */
import { fileURLToPath } from 'node:url';
import { expect, test as base } from '@playwright/test';
import type { Page } from '@playwright/test';
import fc from 'fast-check';
import { createServer } from 'vite';
import { sampleToken } from '../../../src/pipeline/serve/sampling.ts';
import type { ChoiceRule } from '../../../src/runtime/decoder.ts';
import type { ChooseRequest, ChooseResult } from './harness/page.ts';

const ROOT = fileURLToPath(new URL('../../../', import.meta.url));
/** `npm run test:long` draws more often. */
const IS_LONG = Boolean(process.env['LONG']);
const GREEDY: ChoiceRule = { repetitionPenalty: 1, sampling: null, forbiddenIds: [] };

/** The harness, served from its sources. */
const test = base.extend<{ harness: Page }, { harnessUrl: string }>({
  harnessUrl: [
    // Playwright wants the fixtures it depends on as a pattern, even where there are none.
    // eslint-disable-next-line no-empty-pattern
    async ({}, use) => {
      const server = await createServer({
        configFile: false,
        root: ROOT,
        logLevel: 'error',
        cacheDir: `${ROOT}node_modules/.vite-decode-tests`,
        server: { port: 0, host: '127.0.0.1', hmr: false, watch: null },
        optimizeDeps: { noDiscovery: true },
      });
      await server.listen();
      await use(`${server.resolvedUrls?.local[0] ?? ''}test/browser/decode/harness/index.html`);
      await server.close();
    },
    { scope: 'worker' },
  ],
  harness: async ({ page, harnessUrl }, use) => {
    await page.goto(harnessUrl);
    await page.waitForFunction(() => 'choose' in window);
    await use(page);
  },
});

test.describe('greedy', () => {
  test('the best token, of equal ones the first, -Infinity and NaN never', async ({ harness }) => {
    const none = null;
    const cases: [(number | null)[], number][] = [
      [[1, 3, 2], 1],
      [[1, 3, 3, 3], 1],
      [[-5, -3, -4], 1],
      [[none, none, -7, none], 2],
      [[-0, 0, -1], 0],
      [[0, -0, 1e-30, 1e-38], 2],
      [[-1e30, -1e38, -3e38], 0],
      [Array.from({ length: 5003 }, (_, id) => (id === 4999 ? 9 : Math.sin(id))), 4999],
    ];
    for (const [logits, expected] of cases) {
      const { ids, next } = await choose(harness, { logits, rule: GREEDY });
      expect(ids, JSON.stringify(logits.slice(0, 8))).toEqual([expected]);
      expect(next).toEqual({ inputIds: [expected, 0], seqlensK: 41, totalSequenceLength: 42 });
    }
  });

  test('forbidden ids only in the steps that forbid them; seen ids are penalised by their sign', async ({
    harness,
  }) => {
    const logits = [5, 4, 3, -1, -2];
    const rule = { ...GREEDY, forbiddenIds: [0, 2] };
    expect((await choose(harness, { logits, rule, forbid: true })).ids).toEqual([1]);
    expect((await choose(harness, { logits, rule, forbid: false })).ids).toEqual([0]);
    const penalised = { ...GREEDY, repetitionPenalty: 2 };
    expect((await choose(harness, { logits, rule: penalised, seenIds: [0, 1] })).ids).toEqual([2]);
    expect((await choose(harness, { logits: [-1, -1.5, -9], rule: penalised, seenIds: [0] })).ids).toEqual([1]);
  });
});

test.describe('sampled', () => {
  const spread = Array.from({ length: 700 }, (_, id) => 4 * Math.sin(id * 12.9898) * Math.cos(id * 0.37));
  const cases: {
    name: string;
    logits: (number | null)[];
    rule: Partial<ChoiceRule['sampling']>;
    seenIds?: number[];
  }[] = [
    { name: 'all tokens', logits: spread, rule: {} },
    { name: 'temperature', logits: spread, rule: { temperature: 0.4 } },
    { name: 'top-k', logits: spread, rule: { topK: 13 } },
    { name: 'top-p', logits: spread, rule: { topP: 0.35 } },
    { name: 'top-k and top-p', logits: spread, rule: { topK: 50, topP: 0.8, temperature: 1.3 } },
    { name: 'top-k of more than there are', logits: [1, null, 2, null], rule: { topK: 3 } },
    { name: 'top-k of 1', logits: spread, rule: { topK: 1 } },
    {
      name: 'equal logits, which ids put in order',
      logits: Array<number>(700).fill(0.25),
      rule: { topK: 300, topP: 0.5 },
    },
    { name: 'a few values only', logits: spread.map(Math.round), rule: { topK: 90, topP: 0.9 } },
    { name: 'one token far ahead', logits: [60, ...spread], rule: { topP: 0.99 } },
    { name: 'a temperature near zero', logits: spread, rule: { temperature: 1e-9 } },
    { name: 'a penalty', logits: spread, rule: { topK: 40 }, seenIds: [0, 3, 31, 32, 33, 64, 699] },
  ];
  test('each draw gives the token that JavaScript draws', async ({ harness }) => {
    for (const { name, logits, rule, seenIds = [] } of cases) {
      const sampling = { temperature: 1, topK: 0, topP: 1, ...rule };
      const repetitionPenalty = seenIds.length > 0 ? 1.7 : 1;
      await test.step(name, () => compare(harness, logits, { repetitionPenalty, sampling, forbiddenIds: [] }, seenIds));
    }
  });

  test('any logits', async ({ harness }) => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(
          fc.oneof(fc.double({ min: -30, max: 30, noNaN: true }), fc.integer({ min: -3, max: 3 }), fc.constant(null)),
          {
            minLength: 2,
            maxLength: 600,
          },
        ),
        fc.record({
          temperature: fc.double({ min: 0.1, max: 3, noNaN: true }),
          topK: fc.nat(120),
          topP: fc.double({ min: 0.05, max: 1, noNaN: true }),
        }),
        async (logits, sampling) => {
          fc.pre(logits.some((logit) => logit !== null));
          await compare(harness, logits, { repetitionPenalty: 1, sampling, forbiddenIds: [] }, [], 24);
        },
      ),
      { numRuns: IS_LONG ? 24 : 6 },
    );
  });

  test.describe('large vocabularies', () => {
    const large = (count: number): number[] =>
      Array.from({ length: count }, (_, id) => Math.fround(8 * Math.sin(id * 12.9898) * Math.cos(id * 0.37)));
    const cases: { name: string; logits: (number | null)[]; rule: Partial<ChoiceRule['sampling']> }[] = [
      { name: 'top-k among 150 thousand', logits: large(151_936), rule: { topK: 50, topP: 0.95, temperature: 0.8 } },
      { name: 'all of 20 thousand', logits: large(20_000), rule: {} },
      { name: 'top-p of 20 thousand', logits: large(20_000), rule: { topP: 0.6 } },
      { name: 'a large top-k', logits: large(20_000), rule: { topK: 3000, topP: 0.9 } },
      { name: 'more equal logits than the list holds', logits: Array<number>(9000).fill(1), rule: { topK: 300 } },
      { name: 'a top-k beyond what single threads know of', logits: large(4500), rule: { topK: 900 } },
      {
        name: 'few candidates in a large vocabulary',
        logits: large(6000).map((logit, id) => (id % 1500 === 7 ? logit : null)),
        rule: { topK: 50 },
      },
    ];
    test('the same, by way of a list or of all workgroups', async ({ harness }) => {
      for (const { name, logits, rule } of cases) {
        const sampling = { temperature: 1, topK: 0, topP: 1, ...rule };
        const full = { repetitionPenalty: 1, sampling, forbiddenIds: [] };
        await test.step(name, () => compare(harness, logits, full, [], 10));
      }
    });
  });
});

/** How far a draw may lie from where the token changes, if the two disagree: exp() in float32, and weights of 2^-45. */
const EDGE = 2e-6;

/** Evenly spaced draws on both sides. */
async function compare(
  harness: Page,
  logits: readonly (number | null)[],
  rule: ChoiceRule,
  seenIds: readonly number[],
  drawCount = IS_LONG ? 64 : 24,
): Promise<void> {
  const { sampling } = rule;
  if (sampling === null) throw new Error('compare() is for sampled choices');
  const draws = Array.from({ length: drawCount }, (_, index) => (index + 0.5) / drawCount);
  const { ids } = await choose(harness, { logits, rule, seenIds, draws });
  const scores = Float32Array.from(logits, (logit) => logit ?? -Infinity);
  for (const id of seenIds) {
    const score = scores[id] ?? 0;
    scores[id] = score < 0 ? score * rule.repetitionPenalty : score / rule.repetitionPenalty;
  }
  draws.forEach((draw, index) => {
    const near = [draw, draw - EDGE, draw + EDGE].map((value) =>
      sampleToken(scores, { ...sampling, minP: 0 }, () => value),
    );
    expect(near, `draw ${draw}`).toContain(ids[index]);
  });
}

function choose(
  harness: Page,
  request: Partial<ChooseRequest> & Pick<ChooseRequest, 'logits' | 'rule'>,
): Promise<ChooseResult> {
  const complete = { seenIds: [], forbid: false, draws: [0], ...request };
  return harness.evaluate((given) => window.choose(given), complete);
}
