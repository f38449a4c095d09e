/**
 * Every codec against the definition of its number format, value by value. The expected bits are made by the rules of IEEE 754
 * with DataView and Math alone.
 */
import { describe, expect, it } from 'vitest';
import type { CodecId } from '../../../src/contract/plan.ts';
import { CODECS, countStoredBytes } from '../../../src/formats/codecs/codecs.ts';

const ALL = Uint16Array.from({ length: 0x10000 }, (_, bits) => bits);
const ALL_BYTES = new Uint8Array(ALL.buffer);

/** float32 bits of a 16-bit float with this many bits of exponent and fraction; a NaN keeps its sign and its fraction on top. */
function defineBits(bits: number, exponentBits: number, fractionBits: number): number {
  const view = new DataView(new ArrayBuffer(4));
  const [isNegative, most] = [bits >= 0x8000, 2 ** exponentBits - 1];
  const exponent = Math.floor(bits / 2 ** fractionBits) % (most + 1);
  const fraction = bits % 2 ** fractionBits;
  if (exponent === most) {
    view.setUint32(0, (isNegative ? 0xff800000 : 0x7f800000) + fraction * 2 ** (23 - fractionBits));
  } else {
    const bias = 2 ** (exponentBits - 1) - 1;
    const magnitude =
      exponent === 0
        ? fraction * 2 ** (1 - bias - fractionBits)
        : (1 + fraction / 2 ** fractionBits) * 2 ** (exponent - bias);
    view.setFloat32(0, isNegative ? -magnitude : magnitude);
  }
  return view.getUint32(0);
}

function readAll(codec: CodecId, bytes: Uint8Array, count: number): Uint32Array {
  const bits = new Uint32Array(count);
  CODECS[codec].toFloat32(bytes)(0, count, bits, 0);
  return bits;
}

/** The same bytes at an address that no 16- or 32-bit view may begin at. */
function putAskew(bytes: Uint8Array, shift: number): Uint8Array {
  const askew = new Uint8Array(bytes.length + shift);
  askew.set(bytes, shift);
  return askew.subarray(shift);
}

describe('codecs', () => {
  it.each([
    ['f16', 5, 10],
    ['bf16', 8, 7],
  ] as const)('%s: all 65,536 patterns, NaN, infinities and subnormals among them', (codec, exponent, fraction) => {
    const bits = readAll(codec, ALL_BYTES, ALL.length);
    expect([...ALL].filter((pattern) => bits[pattern] !== defineBits(pattern, exponent, fraction))).toEqual([]);
  });

  it('f32: every bit as it is, signalling NaN and subnormals, too', () => {
    const patterns = Uint32Array.of(
      0,
      0x80000000,
      1,
      0x807fffff,
      0x3f800001,
      0x7f800000,
      0xff800000,
      0x7f800001,
      0xffc12345,
    );
    expect(readAll('f32', new Uint8Array(patterns.buffer), patterns.length)).toEqual(patterns);
  });

  it.each(['f32', 'f16', 'bf16'] as const)(
    '%s: from any value on, at any alignment, and nothing beside the target',
    (codec) => {
      const bytes = ALL_BYTES.subarray(0x7f00, 0x7f40);
      const count = bytes.length / countStoredBytes(codec, 1);
      const whole = readAll(codec, bytes.slice(), count);
      for (const shift of [0, 1, 2, 3]) {
        const read = CODECS[codec].toFloat32(putAskew(bytes, shift));
        for (let first = 0; first < 4; first++) {
          for (let length = 0; length < 5; length++) {
            const target = new Uint32Array(8).fill(0xdeadbeef);
            read(first, length, target, 2);
            const expected = new Uint32Array(8).fill(0xdeadbeef);
            expected.set(whole.subarray(first, first + length), 2);
            expect(target).toEqual(expected);
          }
        }
      }
    },
  );

  it('f32 → f32 without a way over values: the same bytes, at any alignment', () => {
    for (const shift of [0, 1, 2, 3]) {
      const target = new Uint8Array(0x400);
      expect(CODECS.f32.repack?.f32?.(putAskew(ALL_BYTES.subarray(0x7e00, 0x8200), shift), target)).toBe(0);
      expect(target).toEqual(ALL_BYTES.slice(0x7e00, 0x8200));
    }
  });

  it('f16 → f16 without a way over values: the same bytes, a NaN made quiet, infinities counted', () => {
    for (const shift of [0, 1]) {
      const target = new Uint8Array(ALL_BYTES.length);
      expect(CODECS.f16.repack?.f16?.(putAskew(ALL_BYTES, shift), target)).toBe(2);
      const expected = ALL.map((pattern) => (pattern % 0x8000 > 0x7c00 ? pattern | 0x0200 : pattern));
      expect(new Uint16Array(target.buffer)).toEqual(expected);
    }
  });
});
