/**
 * When a server wants to be asked again. Expected values: huggingface_hub's own reading of `RateLimit` (see
 * test/reference/references/hub_client.py), RFC 9110 and the drafts of draft-ietf-httpapi-ratelimit-headers for the rest.
 */
import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { parseRateLimitMs, parseRetryAfterMs, readReturnMs } from '../../../src/hub/when-to-return.ts';

const recorded = JSON.parse(
  readFileSync(new URL('../../fixtures/hub/huggingface-hub.json', import.meta.url), 'utf8'),
) as { readonly rateLimits: readonly [string, { readonly remaining: number; readonly resetSeconds: number } | null][] };

describe('RateLimit', () => {
  const understood = recorded.rateLimits.flatMap(([value, told]) => (told === null ? [] : [[value, told] as const]));

  test.each(understood)('%s as huggingface_hub reads it, which waits a second more', (value, told) => {
    expect(parseRateLimitMs(value)).toBe(told.remaining === 0 ? (told.resetSeconds + 1) * 1000 : null);
  });

  test.each([
    ['parameters in any order', '"api";t=55;r=0', 56_000],
    ['a token for a name', 'api;r=0;t=55', 56_000],
    ['other parameters', '"api";pk="a;b, c";r=0;t=7', 8_000],
    ['several quotas: the last one that is spent', '"day";r=10;t=900, "api";r=0;t=5, "burst";r=0;t=2', 6_000],
    ['none is spent', '"day";r=10;t=900, "api";r=1;t=5', null],
    ['the dictionary of draft 07', 'limit=100, remaining=0, reset=50', 51_000],
    ['the dictionary, not spent', 'limit=100, remaining=5, reset=50', null],
    ['no time', '"api";r=0', null],
    ['nothing left is not said', '"api";t=5', null],
    ['negative', '"api";r=0;t=-5', null],
    ['words', '"api";r=0;t=soon', null],
    ['empty', '', null],
  ])('%s', (_, value, expected) => {
    expect(parseRateLimitMs(value)).toBe(expected);
  });
});

describe('Retry-After', () => {
  const now = Date.parse('2026-01-01T00:00:00Z');
  test.each([
    ['7', 7_000],
    ['Thu, 01 Jan 2026 00:00:05 GMT', 5_000],
    ['Thu, 01 Jan 2025 00:00:05 GMT', 0],
    ['soon', null],
    [null, null],
  ])('%s', (value, expected) => {
    expect(parseRetryAfterMs(value, now)).toBe(expected);
  });
});

describe('all headers together', () => {
  const now = Date.parse('2026-01-01T00:00:00Z');
  test.each<[string, number, Record<string, string>, number | null]>([
    ['nothing', 429, {}, null],
    ['the later time counts', 429, { 'Retry-After': '9', RateLimit: '"api";r=0;t=5' }, 9_000],
    ['a counter is no reason for a 503', 503, { RateLimit: '"api";r=0;t=5' }, null],
    ['a 503 with a date', 503, { 'Retry-After': 'Thu, 01 Jan 2026 00:00:05 GMT' }, 5_000],
    [
      "a date by the server's own clock",
      503,
      { 'Retry-After': 'Thu, 01 Jan 2026 00:10:05 GMT', Date: 'Thu, 01 Jan 2026 00:10:00 GMT' },
      5_000,
    ],
    ['RateLimit-Reset', 429, { 'RateLimit-Remaining': '0', 'RateLimit-Reset': '30' }, 31_000],
    ['RateLimit-Reset, not spent', 429, { 'RateLimit-Remaining': '3', 'RateLimit-Reset': '30' }, null],
    ['X-RateLimit-Reset as Unix time', 429, { 'X-RateLimit-Reset': String(now / 1000 + 60) }, 61_000],
    ['X-RateLimit-Reset in the past', 429, { 'X-RateLimit-Reset': String(now / 1000 - 60) }, 0],
  ])('%s', (_, status, headers, expected) => {
    expect(readReturnMs(status, new Headers(headers), now)).toBe(expected);
  });
});
