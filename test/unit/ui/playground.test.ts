import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { GenerateReport } from '../../../src/contract/generate.ts';
import { bladePath, polar } from '../../../src/ui/iris-shape.ts';
import { DEFAULT_SAMPLING, readSampling } from '../../../src/ui/sampling.ts';
import { scatterStars } from '../../../src/ui/star-field.ts';
import { changeLastTurn, decodeRate, openTurn, toMessages } from '../../../src/ui/stores/conversation.ts';

describe('readSampling', () => {
  it('sends only what was given', () => {
    expect(readSampling({ ...DEFAULT_SAMPLING, maxNewTokens: null })).toEqual({ ok: true, options: {} });
    expect(readSampling({ ...DEFAULT_SAMPLING, choice: 'sample', temperature: 0.7, topK: 0, seed: 0 })).toEqual({
      ok: true,
      options: { max_new_tokens: 256, do_sample: true, temperature: 0.7, top_k: 0, seed: 0 },
    });
  });

  it('leaves sampling options out of a greedy request', () => {
    const read = readSampling({ ...DEFAULT_SAMPLING, choice: 'greedy', temperature: 0.7, topP: 0.9, seed: 3 });
    expect(read).toEqual({ ok: true, options: { max_new_tokens: 256, do_sample: false } });
  });

  it.each([
    { maxNewTokens: 0 },
    { maxNewTokens: 1.5 },
    { temperature: 0 },
    { temperature: Number.NaN },
    { topK: -1 },
    { topP: 0 },
    { topP: 1.1 },
    { seed: -1 },
    { seed: 2 ** 53 },
  ])('refuses %o with a sentence', (fields) => {
    expect(readSampling({ ...DEFAULT_SAMPLING, ...fields })).toMatchObject({ ok: false, problem: /\.$/ });
  });
});

describe('turns', () => {
  it('become a conversation that ends with the open question', () => {
    let turns = openTurn([], 'one');
    turns = changeLastTurn(turns, { answer: 'A', state: 'done' });
    turns = openTurn(turns, 'two');
    expect(toMessages(turns)).toEqual([
      { role: 'user', content: 'one' },
      { role: 'assistant', content: 'A' },
      { role: 'user', content: 'two' },
    ]);
  });

  it('leave out a question that was never answered, so that roles alternate', () => {
    fc.assert(
      fc.property(fc.array(fc.constantFrom('', 'answer'), { minLength: 1 }), (answers) => {
        let turns = openTurn([], 'first');
        for (const answer of answers) turns = openTurn(changeLastTurn(turns, { answer }), 'next');
        const roles = toMessages(turns).map(({ role }) => role);
        expect(roles.every((role, index) => role === (index % 2 === 0 ? 'user' : 'assistant'))).toBe(true);
        expect(roles.at(-1)).toBe('user');
        expect(new Set(turns.map(({ id }) => id)).size).toBe(turns.length);
      }),
    );
  });

  it('tell the decode rate without the first token', () => {
    const report: GenerateReport = {
      promptTokens: 5,
      reusedTokens: 0,
      newTokens: 11,
      finishReason: 'eos',
      contextNote: null,
      path: 'gpu',
      pathReason: '',
      firstTokenMs: 500,
      totalMs: 1500,
    };
    expect(decodeRate(report)).toBe(10);
    expect(decodeRate({ ...report, newTokens: 1 })).toBeNull();
  });
});

describe('the iris', () => {
  it('tiles the ring: the blades and the opening add up to the whole disc', () => {
    fc.assert(
      fc.property(fc.double({ min: 0, max: 70, noNaN: true }), (openRadius) => {
        const blades = Array.from({ length: 8 }, (_, index) => bladePath(index, 8, openRadius, 76));
        const opening = 0.5 * 8 * openRadius ** 2 * Math.sin(Math.PI / 4);
        const area = blades.reduce((sum, path) => sum + areaOfBlade(path), 0) + opening;
        expect(area).toBeCloseTo(Math.PI * 76 ** 2, -1.5);
      }),
    );
  });

  it('has the same sky on every visit, inside the picture', () => {
    expect(scatterStars(50)).toEqual(scatterStars(50));
    expect(scatterStars(50).every(({ xPercent, yPercent }) => xPercent <= 100 && yPercent <= 88)).toBe(true);
  });
});

/** The triangle of a blade plus the segment of the disc beyond its chord. */
function areaOfBlade(path: string): number {
  const numbers = path.match(/-?\d+(\.\d+)?/g)?.map(Number) ?? [];
  const [cx = 0, cy = 0, fx = 0, fy = 0] = numbers;
  const [nx = 0, ny = 0] = numbers.slice(-2);
  const triangle = 0.5 * Math.abs((fx - cx) * (ny - cy) - (nx - cx) * (fy - cy));
  const angle = 2 * Math.asin(Math.hypot(fx - nx, fy - ny) / (2 * 76));
  return triangle + 0.5 * 76 ** 2 * (angle - Math.sin(angle));
}

it('polar coordinates turn clockwise on a screen', () => {
  expect(polar(2, Math.PI / 2).y).toBeCloseTo(2);
});
