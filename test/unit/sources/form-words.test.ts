import { describe, expect, test } from 'vitest';
import { checkBaseUrl } from '../../../src/ui/addresses.ts';
import { describeFolder } from '../../../src/ui/model-sources.ts';

const file = new File([new Uint8Array(1_500)], 'config.json');
const plain = (text: string): string => text.replaceAll('\u00a0', ' ');

describe('a chosen folder in words', () => {
  test.each([
    [[{ path: 'tiny/config.json', file }], 'tiny, 1 file, 1.5 kB'],
    [
      [
        { path: 'tiny/config.json', file },
        { path: 'tiny/sub/b', file },
      ],
      'tiny, 2 files, 3.0 kB',
    ],
    [[file, { path: 'sub/b', file }], 'loose files, 2 files, 3.0 kB'],
    [[], 'loose files, 0 files, 0 B'],
  ])('%#', (folder, words) => {
    expect(plain(describeFolder({ folder }))).toBe(words);
  });

  test('a name that was given stands', () => {
    expect(describeFolder({ folder: [file], name: 'mine' })).toMatch(/^mine, 1 file,/u);
  });
});

test('addresses: what can be asked for, and a sentence for what cannot', () => {
  expect(checkBaseUrl('https://host/models/name/')).toBeNull();
  expect(checkBaseUrl('http://localhost:1234')).toBeNull();
  for (const bad of ['', 'host/models', 'ftp://host/', 'https://me:pw@host/', 'https://host/?a', 'https://host/#a']) {
    expect(checkBaseUrl(bad), bad).toMatch(/\.$/u);
  }
});
