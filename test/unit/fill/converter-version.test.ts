/**
 * The converter's bytes, held to its version: kept weights of an older version are read again as long as the version stands, so
 * bytes may not change without it.
 *
 * A hash says only that bytes are the same as before. That they are right is held by the other tests of this folder, against
 * references.
 */
import { createHash } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import type { CodecId, WeightEncoding } from '../../../src/contract/plan.ts';
import { fillWeights } from '../../../src/pipeline/fill/fill.ts';
import { CONVERTER_VERSION, layOutPrepared } from '../../../src/pipeline/prepared/prepared-layout.ts';
import { computeRotary, type HandmadeWeight, type MakeBytes, makePlan } from './handmade-plan.ts';

/** SHA-256 of the prepared bytes, by version. A new version gets a row of its own; an old row says what it was. */
const EXPECTED: Readonly<Record<number, Readonly<Record<string, string>>>> = {
  1: {
    'f32 → f32': '43e4584e908fdaec738b51888ea08c48f56cf1344eab9d0ad94e7b658f173a57',
    'f32 → f16': '5f6386e9f5c18dab766fe029a383db5aa7b4df047cd7d9ef83b7bb205d7b8bea',
    'f32 → q8': '3861668772655f9186da7d0e03e2bfbbda414e9c066e4a96e81983e524bec418',
    'f32 → q8, float16 scales': '01e589cc7b5728006008d01f6c6afe2ccf6d6f4e98a47d97956742920123e80a',
    'f32 → q4': 'ec4d3b3c2a07256cef70b5313a92315f2608170b9c32194f1de39360d68c8121',
    'f32 → q4, float16 scales': '2011d1534dd33152c225e2d4699c4d854435d8f9741193f57dc2bf34a277d6a6',
    'f16 → f32': '93eaea6d3542011c4a2ff552d462e6fcbfcda1f8d418edf2636d1f0a3477af88',
    'f16 → f16': '350152dc63465b6624aa73217aec90e0b116e3240f9366de32be1fc107f00283',
    'f16 → q8': 'aa2ef59975ebde23866db2e534daedb4407a94b637d9c8d88665ac60c8dca566',
    'f16 → q8, float16 scales': 'c61299fe03918ba75601caa65e00765be05305449feca2c72b74f0e451794ee1',
    'f16 → q4': 'b02bba88e030fdc92c4aac774e0c1975f65d48be0e86da00a8a4c7b86582b8a6',
    'f16 → q4, float16 scales': '1a8560cb2140a6ba8c1f90a66172d9b30e3529d5aa3edab6262337fc22972745',
    'bf16 → f32': 'a76c87cf9419b307d2791a488ce5c91435210a95b1091f62a02c46a3aa082e8c',
    'bf16 → f16': '0a11c5f51f2628c13db170188ddaec02a19cfb17f1a167cd3c1fe508770b1396',
    'bf16 → q8': 'df0e72399942b4f19202265f1f9a2749ad7cfb9da773645afccbad56ccb452f7',
    'bf16 → q8, float16 scales': '7a5132eb280d68883a2cb1ee998858cb56341e11742be1f2ab4f8647bb05347f',
    'bf16 → q4': '96b84a18e21a141b684abc2424b03f845c71c4d5c74513f334b6bf4407b13d37',
    'bf16 → q4, float16 scales': '912a3fe5f3978a5f6f7895fcd4fbe552a7c6f37711589f929398a45e4eead02b',
  },
};

const CASES = (['f32', 'f16', 'bf16'] as const).flatMap((codec) =>
  (
    [
      ['f32', 'float32'],
      ['f16', 'float32'],
      ['q8', 'float32'],
      ['q8', 'float16'],
      ['q4', 'float32'],
      ['q4', 'float16'],
    ] as const
  ).map(([encoding, scaleType]) => ({
    codec,
    encoding,
    scaleType,
    name: `${codec} → ${encoding}${scaleType === 'float16' ? ', float16 scales' : ''}`,
  })),
);

describe('the bytes of prepared weights', () => {
  it.each(CASES)('$name: are those of CONVERTER_VERSION', async ({ name, codec, encoding, scaleType }) => {
    expect(await hashPrepared(codec, encoding, scaleType)).toBe(EXPECTED[CONVERTER_VERSION]?.[name]);
  });
});

/**
 * Finite values of every sign and fraction and of fourteen magnitudes, from whole numbers alone: what a computer makes of a
 * logarithm may differ from one engine to the next.
 */
const makePseudoRandom: MakeBytes = (codec, count, seed) => {
  let state = seed;
  const words = Uint32Array.from({ length: count }, () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0; // Numerical Recipes, section 7.1
    return state;
  });
  const exponentOf = (word: number): number => (word >>> 8) % 14;
  if (codec === 'f32') return new Uint8Array(words.map((w) => (w & 0x807fffff) | ((112 + exponentOf(w)) << 23)).buffer);
  const halves = Uint16Array.from(words, (word) =>
    codec === 'bf16'
      ? ((word >>> 16) & 0x807f) | ((112 + exponentOf(word)) << 7)
      : ((word >>> 16) & 0x83ff) | (exponentOf(word) << 10),
  );
  return new Uint8Array(halves.buffer);
};

/** A stack of three, an odd row length, a vector: whatever a layout could move. */
async function hashPrepared(
  codec: CodecId,
  encoding: WeightEncoding,
  scaleType: 'float32' | 'float16',
): Promise<string> {
  const weight = (name: string, cols: number, rowCounts: readonly number[]): HandmadeWeight => ({
    name,
    rows: rowCounts.reduce((sum, rows) => sum + rows),
    cols,
    encoding,
    scaleType,
    sources: rowCounts.map((rows, index) => ({ tensor: `${name}.${'zam'.charAt(index)}`, shape: [rows, cols] })),
  });
  const { plan, files } = makePlan(
    [weight('norm', 9, [1]), weight('qkv', 72, [5, 1, 7]), weight('head', 32, [9])],
    codec,
    makePseudoRandom,
  );
  const slots = new Map(layOutPrepared(plan.weights).map((slot) => [slot.buffer, slot]));
  const prepared = new Uint8Array([...slots.values()].at(-1)?.end ?? 0);
  await fillWeights({
    plan,
    computeRotary,
    read: async (file, start, end) => files.get(file)?.subarray(start, end) ?? new Uint8Array(),
    write: (name, offset, bytes) => {
      const slot = slots.get(name);
      if (slot) prepared.set(bytes, slot.start + offset);
    },
  });
  return createHash('sha256').update(prepared).digest('hex');
}
