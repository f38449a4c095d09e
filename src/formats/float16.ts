/**
 * 16-bit floats: bfloat16 and IEEE 754 binary16, to and from float32.
 *
 * The block versions work on bit patterns (Uint16Array, Uint32Array), because a NaN that passes through a JavaScript
 * number may lose its bits, and because integer loops are what engines compile best. They allocate nothing.
 * Offsets and counts are in elements.
 */

const single = new Float32Array(1);
const singleBits = new Uint32Array(single.buffer);

/** The float32 value of a bfloat16 bit pattern: the upper half of a float32. Exact. */
export function bf16ToF32(bits: number): number {
  singleBits[0] = bits << 16;
  return single[0] as number;
}

/** The float32 value of a binary16 bit pattern. Exact. */
export function f16ToF32(bits: number): number {
  singleBits[0] = f16BitsToF32Bits(bits);
  return single[0] as number;
}

/** The binary16 bit pattern nearest to `value` (first rounded to float32), ties to even, beyond 65504 ± Infinity. */
export function f32ToF16(value: number): number {
  single[0] = value;
  return f32BitsToF16Bits(singleBits[0] as number);
}

/**
 * Widens `count` bfloat16 patterns to float32 patterns. `words` is the memory of `halves` again, as pairs: reading two at
 * a time took 0.8 instead of 1.3 ns a value. (WebAssembly and WebGPU run on little-endian machines only: the first of a
 * pair is the lower half.)
 */
export function expandBf16(
  halves: Uint16Array,
  words: Uint32Array,
  sourceFrom: number,
  count: number,
  target: Uint32Array,
  targetFrom: number,
): void {
  let from = sourceFrom;
  let to = targetFrom;
  const end = targetFrom + count;
  if (from % 2 === 1 && to < end) target[to++] = (halves[from++] as number) << 16;
  for (let pair = from / 2; to + 1 < end; pair++) {
    const word = words[pair] as number;
    target[to++] = word << 16;
    target[to++] = word & 0xffff0000;
  }
  if (to < end) target[to] = (halves[sourceFrom + count - 1] as number) << 16;
}

/** Widens `count` binary16 patterns to float32 patterns. */
export function expandF16(
  source: Uint16Array,
  sourceFrom: number,
  count: number,
  target: Uint32Array,
  targetFrom: number,
): void {
  const table = getF16Table();
  for (let i = 0; i < count; i++) {
    target[targetFrom + i] = table[source[sourceFrom + i] as number] as number;
  }
}

/**
 * Narrows `count` float32 patterns to binary16, ties to even.
 * Returns how many became infinite: values that binary16 cannot hold.
 */
export function narrowToF16(
  source: Uint32Array,
  sourceFrom: number,
  count: number,
  target: Uint16Array,
  targetFrom: number,
): number {
  let infinite = 0;
  for (let i = 0; i < count; i++) {
    const bits = f32BitsToF16Bits(source[sourceFrom + i] as number);
    if ((bits & 0x7fff) === 0x7c00) infinite++;
    target[targetFrom + i] = bits;
  }
  return infinite;
}

// 256 KiB, made when the first binary16 checkpoint is met. A lookup beats arithmetic here: subnormal values, common
// among weights, need a normalising loop.
let f16Table: Uint32Array | null = null;

function getF16Table(): Uint32Array {
  f16Table ??= Uint32Array.from({ length: 0x10000 }, (_, bits) => f16BitsToF32Bits(bits));
  return f16Table;
}

function f16BitsToF32Bits(bits: number): number {
  const sign = (bits & 0x8000) << 16;
  let exponent = (bits >> 10) & 0x1f;
  let fraction = bits & 0x3ff;
  if (exponent === 0x1f) return (sign | 0x7f800000 | (fraction << 13)) >>> 0;
  if (exponent === 0) {
    if (fraction === 0) return sign >>> 0;
    // Subnormal: shift the leading one up to where float32 has it implied.
    exponent = 1;
    while ((fraction & 0x400) === 0) {
      fraction <<= 1;
      exponent--;
    }
    fraction &= 0x3ff;
  }
  return (sign | ((exponent + 112) << 23) | (fraction << 13)) >>> 0;
}

function f32BitsToF16Bits(bits: number): number {
  const sign = (bits >>> 16) & 0x8000;
  const magnitude = bits & 0x7fffffff;
  if (magnitude >= 0x47800000) {
    // 65536 and more, or NaN: a NaN keeps its upper fraction bits and stays one.
    if (magnitude <= 0x7f800000) return sign | 0x7c00;
    return sign | 0x7e00 | ((magnitude >>> 13) & 0x3ff);
  }
  if (magnitude >= 0x38800000) {
    // Normal in both: re-bias the exponent by -112 and round the 13 lost bits; a carry runs into the exponent as it
    // should, from 65520 on to infinity.
    return sign | ((magnitude - 0x38000000 + 0xfff + ((magnitude >>> 13) & 1)) >>> 13);
  }
  if (magnitude < 0x33000000) return sign; // less than half of the smallest subnormal
  // Subnormal in binary16: count in units of 2^-24.
  const fraction = (magnitude & 0x7fffff) | 0x800000;
  const shift = 126 - (magnitude >>> 23); // 14 … 24
  return sign | ((fraction + (1 << (shift - 1)) - 1 + ((fraction >>> shift) & 1)) >>> shift);
}
