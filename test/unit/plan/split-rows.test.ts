import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { cutSources, splitRows } from '../../../src/pipeline/plan/split-rows.ts';

describe('splitRows', () => {
  it('leaves whole what fits, and what no cut would help', () => {
    expect(splitRows(300, 64, 300 * 64)).toEqual([{ firstRow: 0, rowCount: 300 }]);
    expect(splitRows(300, 64, 63)).toEqual([{ firstRow: 0, rowCount: 300 }]);
    expect(splitRows(0, 64, 128)).toEqual([{ firstRow: 0, rowCount: 0 }]);
    expect(splitRows(49_152, 2_304, 4_096)).toEqual([{ firstRow: 0, rowCount: 49_152 }]);
    expect(splitRows(4_096, 2_304, 4_096)).toHaveLength(4_096);
  });

  it('cuts evenly, by 32 rows: the embedding of Qwen2.5 0.5B on a phone that binds 128 MiB', () => {
    const parts = splitRows(151_936, 896 * 4, 128 * 2 ** 20);
    expect(parts.map(({ rowCount }) => rowCount)).toEqual([30_400, 30_400, 30_400, 30_400, 30_336]);
  });

  it('for any matrix: all rows once, in order, within the limit, equal but for the last, no more parts than needed', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 4_096 }),
        fc.integer({ min: 1, max: 3_000 }),
        fc.integer({ min: 1, max: 200_000 }),
        (rows, rowBytes, limit) => {
          const parts = splitRows(rows, rowBytes, limit);
          const usable = Math.floor(limit / 16) * 16;
          expect(parts.reduce((sum, { rowCount }) => sum + rowCount, 0)).toBe(rows);
          parts.forEach(({ firstRow }, i) => expect(firstRow).toBe(i * (parts[0]?.rowCount ?? 0)));
          expect(parts.at(-1)?.rowCount).toBeLessThanOrEqual(parts[0]?.rowCount ?? 0);
          expect(parts.every(({ rowCount }) => rowCount > 0)).toBe(true);
          if (rowBytes > usable) {
            expect(parts.length).toBe(1);
            return;
          }
          expect(parts.every(({ rowCount }) => Math.ceil((rowCount * rowBytes) / 16) * 16 <= limit)).toBe(true);
          const fit = Math.floor(usable / rowBytes);
          const whole = fit < 32 ? fit : Math.floor(fit / 32) * 32;
          expect(parts.length).toBeLessThanOrEqual(rows <= fit ? 1 : Math.ceil(rows / whole));
        },
      ),
    );
  });
});

describe('cutSources', () => {
  const source = (tensor: string, rows: number, start: number) =>
    ({ file: 'f', tensor, codec: 'bf16', shape: [rows, 4], start, end: start + rows * 8 }) as const;

  it('cuts through stacked sources', () => {
    const stacked = [source('q', 10, 1000), source('k', 3, 500), source('v', 3, 0)];
    expect(cutSources(stacked, { firstRow: 0, rowCount: 8 })).toEqual([
      { ...source('q', 8, 1000), shape: [8, 4], end: 1064 },
    ]);
    expect(cutSources(stacked, { firstRow: 8, rowCount: 8 })).toEqual([
      { ...source('q', 2, 1064), end: 1080 },
      source('k', 3, 500),
      source('v', 3, 0),
    ]);
    expect(cutSources(stacked, { firstRow: 12, rowCount: 2 })).toEqual([source('k', 1, 516), source('v', 1, 0)]);
  });
});
