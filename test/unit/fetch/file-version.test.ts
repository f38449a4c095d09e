import { describe, expect, it } from 'vitest';
import { isOtherVersion, readAnnouncedVersion } from '../../../src/pipeline/fetch/file-version.ts';

const url = 'https://example.test/model/config.json';
const none = { etag: null, lastModified: null };

describe('readAnnouncedVersion', () => {
  it('reads the fragment of what has no hash', () => {
    const version = 'W/"a b#c"';
    expect(readAnnouncedVersion({ hash: null, url: `${url}#${encodeURIComponent(version)}` })).toBe(version);
    expect(readAnnouncedVersion({ hash: null, url })).toBeNull();
    expect(readAnnouncedVersion({ hash: { algorithm: 'sha256', hex: 'ab' }, url: `${url}#x` })).toBeNull();
  });
});

describe('isOtherVersion', () => {
  const day = 'Fri, 20 Nov 2026 14:43:00 GMT';
  const later = 'Fri, 20 Nov 2026 14:43:01 GMT';
  it.each([
    ['another ETag', '"a"', { ...none, etag: '"b"' }, true],
    ['the same ETag', '"a"', { ...none, etag: '"a"' }, false],
    ['the same, weak', '"a"', { ...none, etag: 'W/"a"' }, false],
    ['the same, compressed', '"a"', { ...none, etag: '"a-gzip"' }, false],
    ['an ETag decides, whatever the time', '"a"', { etag: '"a"', lastModified: later }, false],
    ['no ETag any more', '"a"', { ...none, lastModified: later }, false],
    ['another time', day, { ...none, lastModified: later }, true],
    ['the same time', day, { ...none, lastModified: day }, false],
    ['the same time, and an ETag that was hidden before', day, { etag: '"a"', lastModified: day }, false],
    ['nothing', day, none, false],
  ] as const)('%s', (_name, announced, answer, other) => {
    expect(isOtherVersion(announced, answer)).toBe(other);
  });
});
