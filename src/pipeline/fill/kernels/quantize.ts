/**
 * float32 → blocks of 32 codes with one scale: the inner loops of stage 5.
 *
 * In: a run of values, a whole number of blocks (the caller pads the last one with zeros), as float32 and as the bits of
 * the same memory. Out: codes and scales at the given block offset. Nothing is allocated.
 * Guarantees: a block of zeros has scale 0 and zero codes. A block that holds a NaN or an infinity has scale NaN, so that
 * a damaged checkpoint shows in its output instead of being clamped into something plausible.
 * Layout and zero codes: `formats/quant-layout.ts`.
 *
 * The loops are written for what V8 makes of them (measured): maxima without a branch (0.9 ns a value against 2.0),
 * four 8-bit codes in one store (1.0 against 1.9).
 */
import { QUANT_BLOCK_SIZE } from '../../../contract/plan.ts';
import { f16ToF32, f32ToF16 } from '../../../formats/float16.ts';
import { BLOB_BYTES, ZERO_CODE, type ScaleType } from '../../../formats/quant-layout.ts';

/** Memory seen as float32 values and as their bit patterns. */
export interface FloatMemory {
  readonly values: Float32Array;
  readonly bits: Int32Array;
}

const INFINITY_BITS = 0x7f800000;
const SMALLEST_NORMAL = 2 ** -126;
const Q8_LARGEST = 127;
const Q4_LARGEST = 15;
const Q4_ZERO = ZERO_CODE.q4;
// Adding one half before truncation rounds a number that is not negative.
const Q8_ROUND = ZERO_CODE.q8 + 0.5;
const Q4_ROUND = ZERO_CODE.q4 + 0.5;
const Q8_ZERO_WORD = 0x80808080;

/**
 * The scale of a q4 block is searched between two candidates: the value of largest magnitude at code -8, and at -8.6,
 * where it is clamped and the others gain resolution. Whichever explains the block better is then refined by least squares.
 * On normally distributed values and on real weights this lowers the root mean square error by 4.5 % against the plain
 * rule, at half of its speed; five candidates would gain 1 % more for another half.
 */
const Q4_CANDIDATES = [8, 8.6] as const;

const single = new Float32Array(1);
const singleBits = new Int32Array(single.buffer);

/**
 * Quantises `blockCount` blocks to 8 bits: scale = largest magnitude / 127, so that no value is clamped.
 * `codeWords` is the buffer of codes as 32-bit words, four codes each.
 */
export function quantizeQ8(
  memory: FloatMemory,
  blockCount: number,
  codeWords: Uint32Array,
  scales: Float32Array,
  firstBlock: number,
  scaleType: ScaleType,
): void {
  const { values, bits } = memory;
  let word = (firstBlock * BLOB_BYTES.q8) / 4;
  for (let block = 0; block < blockCount; block++) {
    const start = block * QUANT_BLOCK_SIZE;
    const end = start + QUANT_BLOCK_SIZE;
    // Bit patterns without the sign order like magnitudes, and put infinity and NaN above every number.
    let largest = 0;
    for (let i = start; i < end; i++) {
      const difference = (largest - ((bits[i] as number) & 0x7fffffff)) | 0;
      largest = (largest - (difference & (difference >> 31))) | 0;
    }
    if (largest >= INFINITY_BITS) {
      scales[firstBlock + block] = NaN;
      codeWords.fill(Q8_ZERO_WORD, word, word + BLOB_BYTES.q8 / 4);
      word += BLOB_BYTES.q8 / 4;
      continue;
    }
    singleBits[0] = largest;
    const scale = roundScaleUp((single[0] as number) / Q8_LARGEST, scaleType);
    const inverse = scale === 0 ? 0 : 1 / scale;
    scales[firstBlock + block] = scale;
    // The scale is not rounded down (by more than float32's last bit), so every code lies in 1 … 255.
    for (let i = start; i < end; i += 4) {
      const c0 = ((values[i] as number) * inverse + Q8_ROUND) | 0;
      const c1 = ((values[i + 1] as number) * inverse + Q8_ROUND) | 0;
      const c2 = ((values[i + 2] as number) * inverse + Q8_ROUND) | 0;
      const c3 = ((values[i + 3] as number) * inverse + Q8_ROUND) | 0;
      codeWords[word++] = c0 | (c1 << 8) | (c2 << 16) | (c3 << 24);
    }
  }
}

/** Quantises `blockCount` blocks to 4 bits, codes -8 … 7; the scale takes the sign that puts the largest value at -8. */
export function quantizeQ4(
  memory: FloatMemory,
  blockCount: number,
  codes: Uint8Array,
  scales: Float32Array,
  firstBlock: number,
  scaleType: ScaleType,
): void {
  const { values, bits } = memory;
  const [candidateA, candidateB] = Q4_CANDIDATES;
  let at = firstBlock * BLOB_BYTES.q4;
  for (let block = 0; block < blockCount; block++) {
    const start = block * QUANT_BLOCK_SIZE;
    const end = start + QUANT_BLOCK_SIZE;
    // As in q8, but the sign rides in the lowest bit: 1 ulp off is nothing for a scale that is only a candidate.
    let largest = 0;
    for (let i = start; i < end; i++) {
      const pattern = bits[i] as number;
      const difference = (largest - ((pattern & 0x7ffffffe) | (pattern >>> 31))) | 0;
      largest = (largest - (difference & (difference >> 31))) | 0;
    }
    if (largest >= INFINITY_BITS) {
      scales[firstBlock + block] = NaN;
      codes.fill(Q4_ZERO | (Q4_ZERO << 4), at, at + BLOB_BYTES.q4);
      at += BLOB_BYTES.q4;
      continue;
    }

    singleBits[0] = (largest & 0x7ffffffe) | (largest << 31);
    const extreme = single[0] as number;
    let scale = 0;
    if (Math.abs(extreme) >= SMALLEST_NORMAL) {
      const inverseA = -candidateA / extreme;
      const inverseB = -candidateB / extreme;
      // For fixed codes c the best scale is Σvc / Σcc, and it takes (Σvc)² / Σcc off the squared error.
      let vcA = 0;
      let ccA = 0;
      let vcB = 0;
      let ccB = 0;
      for (let i = start; i < end; i++) {
        const value = values[i] as number;
        let a = (value * inverseA + Q4_ROUND) | 0;
        a = (a > Q4_LARGEST ? Q4_LARGEST : a) - Q4_ZERO;
        vcA += value * a;
        ccA += a * a;
        let b = (value * inverseB + Q4_ROUND) | 0;
        b = (b > Q4_LARGEST ? Q4_LARGEST : b) - Q4_ZERO;
        vcB += value * b;
        ccB += b * b;
      }
      scale = roundScale(vcA * vcA * ccB > vcB * vcB * ccA ? vcA / ccA : vcB / ccB, scaleType);
    }
    scales[firstBlock + block] = scale;
    const inverse = scale === 0 ? 0 : 1 / scale;
    for (let i = start; i < end; i += 2) {
      let low = ((values[i] as number) * inverse + Q4_ROUND) | 0;
      let high = ((values[i + 1] as number) * inverse + Q4_ROUND) | 0;
      low = low > Q4_LARGEST ? Q4_LARGEST : low < 0 ? 0 : low;
      high = high > Q4_LARGEST ? Q4_LARGEST : high < 0 ? 0 : high;
      codes[at++] = low | (high << 4);
    }
  }
}

/** The scale as it will be stored: codes are chosen for that value, not for the one before rounding. */
function roundScale(scale: number, scaleType: ScaleType): number {
  return scaleType === 'float16' ? f16ToF32(f32ToF16(scale)) : Math.fround(scale);
}

/** As {@link roundScale} for a scale ≥ 0, but never below it in float16; subnormal float32 scales become 0, as on a GPU. */
function roundScaleUp(scale: number, scaleType: ScaleType): number {
  if (scale < SMALLEST_NORMAL) return 0;
  if (scaleType === 'float32') return Math.fround(scale);
  const bits = f32ToF16(scale);
  const rounded = f16ToF32(bits);
  return rounded < scale ? f16ToF32(bits + 1) : rounded;
}
