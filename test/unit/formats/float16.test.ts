import { describe, expect, it } from 'vitest';
import { bf16ToF32, expandBf16, expandF16, f16ToF32, f32ToF16, narrowToF16 } from '../../../src/formats/float16.ts';

/** binary16 by its definition: (-1)^s × 2^(e-15) × 1.f, subnormals 2^-14 × 0.f. */
function defineF16(bits: number): number {
  const sign = bits & 0x8000 ? -1 : 1;
  const exponent = (bits >> 10) & 31;
  const fraction = bits & 1023;
  if (exponent === 31) return fraction === 0 ? sign * Infinity : NaN;
  return exponent === 0 ? sign * fraction * 2 ** -24 : sign * 2 ** (exponent - 15) * (1 + fraction / 1024);
}

/** bfloat16 by its definition: 8 bits of exponent, 7 of fraction. */
function defineBf16(bits: number): number {
  const sign = bits & 0x8000 ? -1 : 1;
  const exponent = (bits >> 7) & 255;
  const fraction = bits & 127;
  if (exponent === 255) return fraction === 0 ? sign * Infinity : NaN;
  return exponent === 0 ? sign * fraction * 2 ** -133 : sign * 2 ** (exponent - 127) * (1 + fraction / 128);
}

const ALL = Uint16Array.from({ length: 0x10000 }, (_, bits) => bits);

describe('float16', () => {
  it('widens every binary16 and bfloat16 exactly, one by one and in blocks', () => {
    const bits = new Uint32Array(0x10000);
    const floats = new Float32Array(bits.buffer);
    const wrong: number[] = [];
    expandF16(ALL, 0, 0x10000, bits, 0);
    for (const b of ALL) {
      if (!Object.is(f16ToF32(b), defineF16(b)) || !Object.is(floats[b], defineF16(b))) wrong.push(b);
    }
    expandBf16(ALL, new Uint32Array(ALL.buffer), 0, 0x10000, bits, 0);
    for (const b of ALL) {
      if (!Object.is(bf16ToF32(b), defineBf16(b)) || !Object.is(floats[b], defineBf16(b))) wrong.push(b);
    }
    expect(wrong).toEqual([]);
  });

  it('widens bfloat16 at any offset and count', () => {
    const words = new Uint32Array(ALL.buffer);
    for (let from = 0x3f80; from < 0x3f84; from++) {
      for (let count = 0; count < 5; count++) {
        const bits = new Uint32Array(7);
        expandBf16(ALL, words, from, count, bits, 1);
        const expected = Array.from({ length: 7 }, (_, i) => (i >= 1 && i <= count ? defineBf16(from + i - 1) : 0));
        expect([...new Float32Array(bits.buffer)]).toEqual(expected);
      }
    }
  });

  it('narrows every binary16 back to itself', () => {
    const wrong = [...ALL].filter((bits) => !Number.isNaN(defineF16(bits)) && f32ToF16(defineF16(bits)) !== bits);
    expect(wrong).toEqual([]);
  });

  it('rounds to the nearest, ties to even, between every two neighbours', () => {
    const wrong: number[] = [];
    for (const sign of [0, 0x8000]) {
      for (let bits = 0; bits < 0x7c00; bits++) {
        // The neighbour of 65504 is infinity; its place in the row of values is 65536.
        const low = defineF16(bits);
        const high = bits === 0x7bff ? 65536 : defineF16(bits + 1);
        const factor = sign ? -1 : 1;
        const middle = (low + high) / 2; // exact in float32: 12 significant bits
        const above = Math.fround(middle + (high - low) / 1024);
        const below = Math.fround(middle - (high - low) / 1024);
        if (f32ToF16(factor * middle) !== (sign | (bits % 2 === 0 ? bits : bits + 1))) wrong.push(bits);
        if (f32ToF16(factor * above) !== (sign | (bits + 1))) wrong.push(bits);
        if (f32ToF16(factor * below) !== (sign | bits)) wrong.push(bits);
      }
    }
    expect(wrong).toEqual([]);
  });

  it('keeps NaN, infinity and what lies far outside', () => {
    expect(f16ToF32(f32ToF16(NaN))).toBeNaN();
    expect(f32ToF16(Infinity)).toBe(0x7c00);
    expect(f32ToF16(-3e38)).toBe(0xfc00);
    expect(f32ToF16(1e-45)).toBe(0);
    expect(f32ToF16(-1e-45)).toBe(0x8000);
  });

  it('narrows in blocks at offsets and counts what became infinite', () => {
    const source = new Float32Array([9, 1, -65504, 65520, -1e9, NaN, 2 ** -25, 9]);
    const target = new Uint16Array(8).fill(0xdead);
    const infinite = narrowToF16(new Uint32Array(source.buffer), 1, 6, target, 2);
    expect(infinite).toBe(2);
    expect([...target.subarray(0, 2)]).toEqual([0xdead, 0xdead]);
    expect([...target.subarray(2)].map(f16ToF32)).toEqual([1, -65504, Infinity, -Infinity, NaN, 0]);
  });
});
