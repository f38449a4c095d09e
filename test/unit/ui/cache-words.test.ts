import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { CacheEntry } from '../../../src/contract/cache.ts';
import {
  describeAge,
  describeCheck,
  describeRemoval,
  describeSize,
  describeSource,
  describeState,
  entryFraction,
  entryKey,
  splitRoom,
  toFormDraft,
} from '../../../src/ui/cache-words.ts';
import { readView } from '../../../src/ui/view-address.ts';

const ENTRY: CacheEntry = {
  modelId: 'org/name',
  source: 'hub',
  endpoint: 'https://huggingface.co',
  revisions: ['main'],
  commit: '0123456789abcdef0123456789abcdef01234567',
  files: [],
  sizeBytes: 5_600_000,
  ownBytes: 5_600_000,
  preparedBytes: 0,
  totalBytes: 5_600_000,
  complete: true,
  pinned: false,
  lastUsedAtMs: 0,
};
const OTHER = { endpoint: 'https://huggingface.co', modelId: 'org/other', commit: 'fedcba9876543210' };
const plain = (text: string): string => text.replaceAll('\u00a0', ' ');

describe('an entry in words', () => {
  it('tells complete from partial, and counts what is shared', () => {
    expect(describeState(ENTRY)).toBe('complete');
    const partial = { ...ENTRY, sizeBytes: 2_400_000, ownBytes: 400_000, complete: false };
    expect(describeState(partial)).toBe('partial, 42%');
    expect(plain(describeSize(partial))).toBe('2.4 MB of 5.6 MB: 400.0 kB own, 2.0 MB shared');
    expect(plain(describeSize(ENTRY))).toBe('5.6 MB');
    expect(plain(describeSize({ ...ENTRY, preparedBytes: 1_700_000 }))).toBe('5.6 MB, and 1.7 MB prepared');
  });

  it('never calls a file that lacks a byte whole', () => {
    fc.assert(
      fc.property(fc.nat(2 ** 40), fc.nat(2 ** 40), (sizeBytes, totalBytes) => {
        const partial = { sizeBytes, totalBytes, complete: false };
        expect(entryFraction(partial)).toBeGreaterThanOrEqual(0);
        expect(entryFraction(partial)).toBeLessThan(1);
        expect(describeState(partial)).toMatch(/^partial, \d\d?%$/u);
      }),
    );
  });

  it('says where it came from', () => {
    expect(describeSource(ENTRY)).toBe('huggingface.co');
    expect(describeSource({ source: 'bundled', endpoint: 'http://localhost:1/' })).toBe('comes with this page');
    expect(describeSource({ source: 'hub', endpoint: 'not an address' })).toBe('not an address');
  });

  it.each([
    [0, 'just now'],
    [59_999, 'just now'],
    [60_000, '1 minute ago'],
    [3 * 3_600_000, '3 hours ago'],
    [86_400_000, 'yesterday'],
    [12 * 86_400_000, '12 days ago'],
    [-5000, 'just now'],
  ])('age %i ms: %s', (agoMs, words) => {
    expect(describeAge(1e12 - agoMs, 1e12)).toBe(words);
  });

  it('gives a date once a month has passed', () => {
    expect(describeAge(Date.UTC(2026, 2, 10, 12), Date.UTC(2026, 8, 1))).toBe('March 10, 2026');
  });

  it('tells apart what differs in endpoint, model or commit only', () => {
    const keys = [
      ENTRY,
      { ...ENTRY, endpoint: 'https://mirror' },
      { ...ENTRY, modelId: 'org/n' },
      { ...ENTRY, commit: 'f' },
    ];
    expect(new Set(keys.map(entryKey)).size).toBe(4);
  });
});

describe('back into the form', () => {
  it('by main, else another branch, else the commit', () => {
    expect(toFormDraft({ ...ENTRY, revisions: ['v1', 'main'] })).toMatchObject({ revision: 'main' });
    expect(toFormDraft({ ...ENTRY, revisions: ['v1'] })).toMatchObject({ revision: 'v1' });
    expect(toFormDraft({ ...ENTRY, revisions: [] })).toMatchObject({ revision: ENTRY.commit });
  });

  it('with the endpoint that it came from; a bundled model needs none, a folder cannot be opened', () => {
    expect(toFormDraft(ENTRY)).toEqual({ kind: 'id', modelId: 'org/name', revision: 'main', endpoint: '' });
    expect(toFormDraft({ ...ENTRY, endpoint: 'https://mirror' })).toMatchObject({ endpoint: 'https://mirror' });
    expect(toFormDraft({ ...ENTRY, source: 'bundled' })).toMatchObject({ endpoint: null });
    expect(toFormDraft({ ...ENTRY, source: 'url', endpoint: 'https://a/b' })).toEqual({
      kind: 'url',
      baseUrl: 'https://a/b',
    });
    expect(toFormDraft({ ...ENTRY, source: 'folder' })).toBeNull();
  });
});

describe('results in words', () => {
  it('says what was deleted, what is in use, and what there was not', () => {
    const one = [{ endpoint: ENTRY.endpoint, modelId: ENTRY.modelId, commit: ENTRY.commit }];
    expect(plain(describeRemoval({ removed: one, inUse: [], freedBytes: 5_600_000 }))).toBe(
      'Deleted org/name at 0123456789: 5.6 MB freed.',
    );
    expect(describeRemoval({ removed: [], inUse: one, freedBytes: 0 })).toBe(
      'Not deleted, because a tab is loading it: org/name at 0123456789.',
    );
    expect(plain(describeRemoval({ removed: [...one, OTHER, OTHER], inUse: one, freedBytes: 1 }))).toMatch(
      /^Deleted 3 snapshots: 1 B freed\. Not deleted/u,
    );
    expect(describeRemoval({ removed: [], inUse: [], freedBytes: 0 })).toBe('There was nothing to delete.');
    expect(plain(describeRemoval({ removed: [], inUse: [], freedBytes: 7 }))).toBe('7 B of leftovers were deleted.');
  });

  it('says what a check found', () => {
    const damage = { path: 'a', commit: 'c', reason: 'r' };
    expect(describeCheck({ checkedFiles: 0, checkedBytes: 0, damaged: [] })).toContain('nothing to check');
    expect(plain(describeCheck({ checkedFiles: 1, checkedBytes: 10, damaged: [] }))).toBe(
      'Checked 1 file, 10 B: every hash is right.',
    );
    expect(plain(describeCheck({ checkedFiles: 9, checkedBytes: 10, damaged: [damage, damage] }))).toBe(
      'Checked 9 files, 10 B: 2 files damaged and removed. The next load brings them back.',
    );
  });

  it('splits the room into parts that are never negative and add up to the quota where the browser is consistent', () => {
    fc.assert(
      fc.property(fc.nat(1e9), fc.nat(1e9), fc.nat(1e9), (sizeBytes, usageBytes, quotaBytes) => {
        const { modelBytes, otherBytes, freeBytes } = splitRoom({
          sizeBytes,
          usageBytes,
          quotaBytes,
          preparedBytes: 0,
          persisted: false,
        });
        expect(Math.min(modelBytes, otherBytes, freeBytes)).toBeGreaterThanOrEqual(0);
        if (Math.max(sizeBytes, usageBytes) <= quotaBytes) expect(modelBytes + otherBytes + freeBytes).toBe(quotaBytes);
      }),
    );
  });
});

describe('the view in the address', () => {
  it.each([
    ['', 'load'],
    ['#', 'load'],
    ['#load', 'load'],
    ['#cache', 'cache'],
    ['#main', 'load'],
    ['#cache/x', 'load'],
  ])('%s is %s', (hash, view) => {
    expect(readView(hash)).toBe(view);
  });
});
