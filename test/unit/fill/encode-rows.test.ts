import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { encodeRows, type EncodedRows } from '../../../src/pipeline/fill/kernels/encode-rows.ts';
import { dequantise, gaussian, halfValue, readValues, toBytes } from './reference.ts';

function valuesOf(encoded: EncodedRows): Uint8Array {
  if (!('values' in encoded)) throw new Error('expected values');
  return encoded.values;
}

function blocksOf(encoded: EncodedRows): { blocks: Uint8Array; scales: Uint8Array } {
  if (!('blocks' in encoded)) throw new Error('expected blocks');
  return encoded;
}

const SHAPES = [
  { rows: 3, cols: 32 },
  { rows: 5, cols: 72 },
  { rows: 4, cols: 152 },
  { rows: 3, cols: 200 },
  { rows: 2, cols: 1 },
  { rows: 7, cols: 896 },
];

describe('plain encodings', () => {
  it.each(['f32', 'bf16'] as const)('%s → f32 is exact', (dtype) => {
    const source = toBytes(gaussian(5 * 33, 1), dtype);
    const encoded = valuesOf(encodeRows(source, dtype, 33, 5, 'f32'));
    expect(readValues(encoded, 'f32')).toEqual(readValues(source, dtype));
  });

  it('every binary16 goes to f32 and to f16 unchanged', () => {
    const source = new Uint8Array(Uint16Array.from({ length: 0x10000 }, (_, bits) => bits).buffer);
    expect(readValues(valuesOf(encodeRows(source, 'f16', 256, 256, 'f32')), 'f32')).toEqual(readValues(source, 'f16'));
    expect(readValues(valuesOf(encodeRows(source, 'f16', 256, 256, 'f16')), 'f16')).toEqual(readValues(source, 'f16'));
  });

  it('every bfloat16 goes to the nearest binary16', () => {
    const finite = Uint16Array.from({ length: 0x10000 }, (_, bits) => bits).filter(
      (bits) => (bits & 0x7f80) !== 0x7f80,
    );
    const source = new Uint8Array(finite.buffer);
    const encoded = encodeRows(source, 'bf16', finite.length, 1, 'f16');
    const bits = new Uint16Array(valuesOf(encoded).slice().buffer);
    let infinite = 0;
    const wrong = readValues(source, 'bf16').filter((value, i) => {
      const code = bits[i] as number;
      const got = halfValue(code);
      if (Math.abs(value) >= 65520) {
        infinite++;
        return got !== Math.sign(value) * Infinity;
      }
      // No neighbour is nearer; 65536 stands in for infinity beyond 65504.
      const error = Math.abs(got - value);
      const magnitude = code & 0x7fff;
      const up = magnitude === 0x7bff ? 65536 : Math.abs(halfValue(magnitude + 1));
      const down = magnitude === 0 ? 0 : Math.abs(halfValue(magnitude - 1));
      return error > Math.abs(up - Math.abs(value)) || (magnitude > 0 && error > Math.abs(Math.abs(value) - down));
    });
    expect(wrong).toEqual([]);
    expect('infiniteCount' in encoded && encoded.infiniteCount).toBe(infinite);
    expect(infinite).toBeGreaterThan(0);
  });

  it('takes bytes at any alignment', () => {
    const source = toBytes(gaussian(66, 2), 'bf16');
    for (const shift of [1, 2, 3]) {
      const askew = new Uint8Array(source.length + shift);
      askew.set(source, shift);
      for (const encoding of ['f32', 'f16', 'q8', 'q4'] as const) {
        expect(encodeRows(askew.subarray(shift), 'bf16', 33, 2, encoding)).toEqual(
          encodeRows(source, 'bf16', 33, 2, encoding),
        );
      }
    }
  });
});

describe('quantised encodings', () => {
  const cases = SHAPES.flatMap((shape) =>
    (['q8', 'q4'] as const).flatMap((encoding) =>
      (['float32', 'float16'] as const).map((scaleType) => ({ ...shape, encoding, scaleType })),
    ),
  );

  it.each(cases)('$encoding [$rows, $cols] with $scaleType scales stays within its error bound', (options) => {
    const { rows, cols, encoding, scaleType } = options;
    const source = toBytes(gaussian(rows * cols, rows + cols), 'bf16');
    const values = readValues(source, 'bf16');
    const { blocks, scales } = blocksOf(encodeRows(source, 'bf16', cols, rows, encoding, scaleType));
    const blockCount = rows * Math.ceil(cols / 32);
    expect(blocks.length).toBe(blockCount * (encoding === 'q8' ? 32 : 16));
    expect(scales.length).toBe(blockCount * (scaleType === 'float32' ? 4 : 2));

    const bits = encoding === 'q8' ? 8 : 4;
    const read = dequantise(blocks, scales, { rows, cols, bits, scaleType });
    expect(read.padding.every((code) => code === 0)).toBe(true);
    let [rounding, clamping] = [0, 0];
    for (let row = 0; row < rows; row++) {
      for (let col = 0; col < cols; col++) {
        const value = values[row * cols + col] as number;
        const scale = read.scaleOf(row, col);
        // In units of the scale: rounding costs half a unit, and 0.0001 for float32; 4-bit codes end at -8 and 7, and
        // what lies beyond is clamped.
        const ideal = value / scale;
        const clamped = bits === 8 ? ideal : Math.min(7, Math.max(-8, ideal));
        const got = (read.values[row]?.[col] as number) / scale;
        rounding = Math.max(rounding, Math.abs(got - clamped));
        clamping = Math.max(clamping, Math.abs(ideal - clamped));
      }
    }
    expect(rounding).toBeLessThanOrEqual(0.5001);
    expect(clamping).toBeLessThanOrEqual(1.7);
  });

  it('q4 is better than the plain rule (largest value at -8) by at least 3 % in root mean square', () => {
    const rows = 512;
    const cols = 64;
    const source = toBytes(gaussian(rows * cols, 7), 'f32');
    const values = readValues(source, 'f32');
    const { blocks, scales } = blocksOf(encodeRows(source, 'f32', cols, rows, 'q4'));
    const ours = dequantise(blocks, scales, { rows, cols, bits: 4, scaleType: 'float32' }).values.flat();
    const plain = values.map((value, i) => {
      const block = values.slice(i - (i % 32), i - (i % 32) + 32);
      const extreme = block.reduce((a, b) => (Math.abs(b) > Math.abs(a) ? b : a));
      const scale = extreme / -8;
      return Math.min(7, Math.max(-8, Math.round(value / scale))) * scale;
    });
    const squaredError = (approximation: readonly number[]): number =>
      approximation.reduce((sum, x, i) => sum + (x - (values[i] as number)) ** 2, 0);
    expect(Math.sqrt(squaredError(ours) / squaredError(plain))).toBeLessThan(0.97);
  });

  it('a value that is alone in its block survives exactly, whatever its sign', () => {
    for (const value of [1, -1, 0.375, -3e-3]) {
      const source = new Float32Array(32);
      source[17] = value;
      for (const [encoding, bits] of [
        ['q8', 8],
        ['q4', 4],
      ] as const) {
        const { blocks, scales } = blocksOf(encodeRows(new Uint8Array(source.buffer), 'f32', 32, 1, encoding));
        const read = dequantise(blocks, scales, { rows: 1, cols: 32, bits, scaleType: 'float32' })
          .values[0] as number[];
        expect(read[17]).toBeCloseTo(value, 6);
        expect(read.filter((x) => x !== 0).length).toBe(1);
      }
    }
  });

  it('zeros have scale 0, not NaN; NaN and infinity poison their block and no other', () => {
    for (const encoding of ['q8', 'q4'] as const) {
      for (const [bad, poisoned] of [
        [0, false],
        [NaN, true],
        [Infinity, true],
        [-Infinity, true],
      ] as const) {
        const source = new Float32Array(96);
        source[40] = bad;
        source[90] = 1;
        const { blocks, scales } = blocksOf(encodeRows(new Uint8Array(source.buffer), 'f32', 96, 1, encoding));
        const [first, second, third] = readValues(scales, 'f32');
        expect(first).toBe(0);
        expect(Number.isNaN(second)).toBe(poisoned);
        expect(third).not.toBe(0);
        const zeroByte = encoding === 'q8' ? 0x80 : 0x88;
        expect(blocks.subarray(0, blocks.length / 3).every((byte) => byte === zeroByte)).toBe(true);
      }
    }
  });

  it('any finite values: codes are in range and a neighbour block is not touched', () => {
    const anyFloat = fc.float({ noNaN: true, noDefaultInfinity: true });
    fc.assert(
      fc.property(
        fc.array(anyFloat, { minLength: 32, maxLength: 32 }),
        fc.constantFrom('float32', 'float16'),
        fc.constantFrom('q8', 'q4'),
        (values, scaleType, encoding) => {
          const source = new Float32Array(96);
          source.set(values, 32);
          const { blocks, scales } = blocksOf(
            encodeRows(new Uint8Array(source.buffer), 'f32', 96, 1, encoding, scaleType),
          );
          const zeroByte = encoding === 'q8' ? 0x80 : 0x88;
          const third = blocks.length / 3;
          expect(blocks.subarray(0, third).every((byte) => byte === zeroByte)).toBe(true);
          expect(blocks.subarray(2 * third).every((byte) => byte === zeroByte)).toBe(true);
          const scale = readValues(scales, scaleType === 'float16' ? 'f16' : 'f32')[1] as number;
          if (encoding === 'q4' || !Number.isFinite(scale) || scale === 0) return;
          // 8 bits: no value is ever clamped, even where the float16 scale is subnormal.
          values.forEach((value, i) => {
            const code = (blocks[32 + i] as number) - 128;
            expect(Math.abs(value / scale - code)).toBeLessThanOrEqual(0.5001);
          });
        },
      ),
      { numRuns: 500 },
    );
  });

  it('row blocks of any split give the bytes of one block', () => {
    const split = fc.record({
      rows: fc.integer({ min: 1, max: 12 }),
      cols: fc.constantFrom(1, 31, 32, 72, 152, 200),
      cut: fc.nat(12),
      encoding: fc.constantFrom('f32', 'f16', 'q8', 'q4'),
      scaleType: fc.constantFrom('float32', 'float16'),
    });
    fc.assert(
      fc.property(split, ({ rows, cols, cut, encoding, scaleType }) => {
        const source = toBytes(gaussian(rows * cols, cols), 'bf16');
        const at = Math.min(cut, rows);
        const encode = (from: number, to: number): EncodedRows =>
          encodeRows(source.subarray(from * cols * 2, to * cols * 2), 'bf16', cols, to - from, encoding, scaleType);
        const whole = encode(0, rows);
        const [top, bottom] = [encode(0, at), encode(at, rows)];
        const parts = (rowsOf: EncodedRows): Uint8Array[] =>
          'values' in rowsOf ? [rowsOf.values] : [rowsOf.blocks, rowsOf.scales];
        parts(whole).forEach((bytes, i) => {
          const joined = [...(parts(top)[i] as Uint8Array), ...(parts(bottom)[i] as Uint8Array)];
          expect([...bytes]).toEqual(joined);
        });
      }),
    );
  });
});
