/** As many connections as a simulated line needs, and no more. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { ConnectionBudget } from '../../../src/pipeline/fetch/connection-budget.ts';

const MOST = 6;

/** Bytes/ms of a line with so many connections, and share of their time that these wait for what comes behind. */
interface Line {
  rate(connections: number, nowMs: number): number;
  behindShare(connections: number): number;
}

/** The limit after each simulated 50 ms. A new connection brings its first byte after `openMs`. */
function simulate(line: Line, elapsedMs: number, openMs = 100): number[] {
  const budget = new ConnectionBudget(() => MOST);
  const limits: number[] = [];
  let open = 0;
  let opensAtMs = openMs;
  for (let nowMs = 0; nowMs < elapsedMs; nowMs += 50) {
    while (open > budget.limit) {
      budget.end();
      open--;
    }
    if (open < budget.limit && nowMs >= opensAtMs) {
      budget.begin();
      open++;
    }
    if (open === budget.limit) opensAtMs = nowMs + openMs;
    for (let connection = 0; connection < open; connection++) {
      const behindShare = line.behindShare(open);
      budget.report(
        {
          sizeBytes: (line.rate(open, nowMs) * 50) / open,
          networkMs: 50 * (1 - behindShare),
          behindMs: 50 * behindShare,
        },
        nowMs,
      );
    }
    limits.push(budget.limit);
  }
  return limits;
}

describe('ConnectionBudget', () => {
  it('takes all connections where each brings its own', () => {
    const limits = simulate({ rate: (count) => count * 5_000, behindShare: () => 0.02 }, 6_000);
    expect(limits.at(0)).toBe(2);
    expect(limits.at(-1)).toBe(MOST);
    expect(limits.indexOf(MOST)).toBeLessThan(3_000 / 50);
  });

  it('waits for a slow handshake before it judges', () => {
    const limits = simulate({ rate: (count) => count * 5_000, behindShare: () => 0.02 }, 10_000, 700);
    expect(limits.at(-1)).toBe(MOST);
  });

  it('stays with two where they fill the line, and asks again ever more rarely', () => {
    const limits = simulate({ rate: () => 12_500, behindShare: () => 0.02 }, 60_000);
    expect(Math.max(...limits)).toBe(3);
    expect(limits.filter((limit) => limit === 3).length).toBeLessThan(limits.length / 10);
  });

  it('stops at three where the line is full with three', () => {
    const limits = simulate({ rate: (count) => Math.min(count, 3) * 4_000, behindShare: () => 0 }, 20_000);
    expect(limits.filter((limit) => limit === 3).length).toBeGreaterThan(limits.length * 0.7);
  });

  it('goes down to one where disk or hash are the slower part', () => {
    const limits = simulate({ rate: () => 300_000, behindShare: (count) => (count === 1 ? 0.2 : 0.6) }, 5_000, 0);
    expect(limits.slice(10)).toEqual(limits.slice(10).map(() => 1));
  });

  it('finds a line that has become wider', () => {
    const rate = (count: number, nowMs: number): number => Math.min(count, nowMs < 5_000 ? 2 : 6) * 4_000;
    const limits = simulate({ rate, behindShare: () => 0 }, 30_000);
    expect(limits[4_900 / 50]).toBeLessThanOrEqual(3);
    expect(limits.at(-1)).toBe(MOST);
  });

  it('is between one and the most, whatever it is told', () => {
    const turn = fc.record({
      sizeBytes: fc.nat(1e7),
      networkMs: fc.nat(500),
      behindMs: fc.nat(500),
      afterMs: fc.nat(500),
      open: fc.integer({ min: -1, max: 1 }),
    });
    fc.assert(
      fc.property(fc.array(turn, { maxLength: 300 }), fc.integer({ min: 1, max: 6 }), (turns, most) => {
        const budget = new ConnectionBudget(() => most);
        let nowMs = 0;
        for (const { afterMs, open, ...rest } of turns) {
          nowMs += afterMs;
          if (open > 0) budget.begin();
          if (open < 0) budget.end();
          budget.report(rest, nowMs);
          if (!(budget.limit >= 1 && budget.limit <= most)) return false;
        }
        return true;
      }),
    );
  });
});
