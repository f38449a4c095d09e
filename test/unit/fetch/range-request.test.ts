import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { parseContentRange } from '../../../src/pipeline/fetch/range-request.ts';

describe('parseContentRange (RFC 9110, 14.4)', () => {
  it('reads what the specification writes', () => {
    expect(parseContentRange('bytes 42-1233/1234')).toEqual({ start: 42, end: 1234, sizeBytes: 1234 });
    expect(parseContentRange('bytes 42-1233/*')).toEqual({ start: 42, end: 1234, sizeBytes: null });
    expect(parseContentRange('bytes 0-0/1')).toEqual({ start: 0, end: 1, sizeBytes: 1 });
  });

  it.each([
    null,
    '',
    'bytes */1234',
    'bytes 5-4/10',
    'bytes 0-10/10',
    'bytes -5/10',
    'bytes 0-4',
    'bits 0-4/10',
    'bytes 0-4/10, 6-7/10',
    'bytes 0x0-4/10',
    'bytes 0-99999999999999999/*',
  ])('refuses %s', (header) => {
    expect(parseContentRange(header)).toBeNull();
  });

  it('is the inverse of writing one, beyond 32 bits too', () => {
    fc.assert(
      fc.property(fc.nat(2 ** 31 - 1), fc.integer({ min: 1, max: 2 ** 31 - 1 }), fc.nat(1000), (a, length, rest) => {
        const start = a * 1024;
        const end = start + length;
        expect(parseContentRange(`bytes ${start}-${end - 1}/${end + rest}`)).toEqual({
          start,
          end,
          sizeBytes: end + rest,
        });
      }),
    );
  });
});
