import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { emptyJournal, readJournal, toBlobKey } from '../../../src/store/journal.ts';

const state = new Uint8Array([1, 2, 3]);
const journal = {
  sizeBytes: 100,
  etag: 'https://host/file "a"',
  intervals: [
    { start: 0, end: 40 },
    { start: 60, end: 100 },
  ],
  hash: { hashedBytes: 30, state },
  updatedAtMs: 7,
};

describe('readJournal', () => {
  it('takes a journal that fits its file', () => {
    expect(readJournal(journal, 100, 100)).toEqual(journal);
  });

  it('cuts back to the bytes that are really there, and forgets a hash that went further', () => {
    expect(readJournal(journal, 100, 35)).toMatchObject({
      intervals: [{ start: 0, end: 35 }],
      hash: { hashedBytes: 30 },
    });
    expect(readJournal(journal, 100, 20)).toMatchObject({ intervals: [{ start: 0, end: 20 }], hash: null });
    expect(readJournal(journal, 100, 0)).toMatchObject({ intervals: [], hash: null });
  });

  it('starts over for another size and for whatever is no journal', () => {
    const broken = [
      null,
      'text',
      { ...journal, sizeBytes: 101 },
      { ...journal, intervals: [{ start: -1, end: 5 }] },
      { ...journal, intervals: [{ start: 0.5, end: 5 }] },
      { ...journal, intervals: 'all' },
    ];
    for (const value of broken) expect(readJournal(value, 100, 100)).toEqual(emptyJournal(100));
    expect(readJournal({ ...journal, hash: { hashedBytes: 50, state } }, 100, 100).hash).toBeNull();
  });

  it('never claims a byte beyond the file, whatever it is given', () => {
    fc.assert(
      fc.property(fc.anything(), fc.nat(1000), fc.nat(1000), (value, sizeBytes, fileBytes) => {
        const { intervals, hash } = readJournal(value, sizeBytes, fileBytes);
        for (const { end } of intervals) expect(end).toBeLessThanOrEqual(Math.min(sizeBytes, fileBytes));
        expect(hash?.hashedBytes ?? 0).toBeLessThanOrEqual(fileBytes);
      }),
    );
  });
});

describe('toBlobKey', () => {
  const file = { path: 'a', sizeBytes: 5, url: 'https://host/a', hash: null };

  it('is the content hash where one is announced, and fit for a file name', async () => {
    expect(await toBlobKey({ ...file, hash: { algorithm: 'sha256', hex: 'ab'.repeat(32) } })).toBe(
      `sha256-${'ab'.repeat(32)}`,
    );
    expect(await toBlobKey(file)).toMatch(/^address-[0-9a-f]{64}$/);
  });

  it('tells addresses and sizes apart where none is', async () => {
    const keys = await Promise.all([
      toBlobKey(file),
      toBlobKey({ ...file, sizeBytes: 6 }),
      toBlobKey({ ...file, url: 'https://host/b' }),
    ]);
    expect(new Set(keys).size).toBe(3);
  });
});
