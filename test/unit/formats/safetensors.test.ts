import { readFileSync } from 'node:fs';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { isLoadError, type LoadError } from '../../../src/contract/errors.ts';
import { SAFETENSORS_DTYPE_BITS, type SafetensorsDtype } from '../../../src/formats/safetensors/safetensors-dtypes.ts';
import { MAX_HEADER_BYTES, parseHeader, readHeaderLength } from '../../../src/formats/safetensors/safetensors.ts';
import { joinFile, writeSafetensors } from './write-safetensors.ts';
import { isAbsent, sharedData } from '../../shared-data.ts';

const FILE = 'model.safetensors';

function parseFile(file: Uint8Array): ReturnType<typeof parseHeader> {
  const headerBytes = readHeaderLength(file.subarray(0, 8), file.length, FILE);
  return parseHeader(file.subarray(8, 8 + headerBytes), file.length, FILE);
}

function faultOf(act: () => unknown): LoadError {
  try {
    act();
  } catch (error) {
    if (isLoadError(error)) return error;
    throw error;
  }
  throw new Error('nothing was thrown');
}

function reasonOf(header: unknown, dataBytes: number): unknown {
  const text = typeof header === 'string' ? header : JSON.stringify(header);
  const error = faultOf(() => parseFile(joinFile(text, new Uint8Array(dataBytes))));
  expect(error.code).toBe('safetensors_invalid');
  expect(error.detail.file).toBe(FILE);
  return error.detail.reason;
}

const vector = (begin: number, end: number, dtype = 'F32') => ({
  dtype,
  shape: [(end - begin) / 4],
  data_offsets: [begin, end],
});

describe('readHeaderLength', () => {
  const lengthField = (length: bigint): Uint8Array => {
    const bytes = new Uint8Array(8);
    new DataView(bytes.buffer).setBigUint64(0, length, true);
    return bytes;
  };

  it('reads a little-endian 64-bit length', () => {
    expect(readHeaderLength(lengthField(0x010203n), 1e6, FILE)).toBe(0x010203);
  });

  it.each([
    ['file_too_short', new Uint8Array(7), 7],
    ['file_too_short', new Uint8Array(8), 7],
    ['header_too_large', lengthField(BigInt(MAX_HEADER_BYTES) + 1n), 1e12],
    ['header_too_large', lengthField(2n ** 64n - 1n), 1e12],
    ['header_beyond_file', lengthField(93n), 100],
  ] as const)('%s', (reason, bytes, fileSizeBytes) => {
    const error = faultOf(() => readHeaderLength(bytes, fileSizeBytes, FILE));
    expect(error.code).toBe('safetensors_invalid');
    expect(error.detail.reason).toBe(reason);
  });

  it('takes a header that ends with the file', () => {
    expect(readHeaderLength(lengthField(92n), 100, FILE)).toBe(92);
  });
});

describe('parseHeader', () => {
  it('yields tensors in file order, whatever the order of their names', () => {
    const header = { b: vector(0, 8), __metadata__: { format: 'pt' }, a: vector(8, 12) };
    const parsed = parseFile(joinFile(JSON.stringify(header), new Uint8Array(12)));
    const { dataStart } = parsed;
    expect(parsed.metadata.get('format')).toBe('pt');
    expect(parsed.tensors).toEqual([
      { name: 'b', dtype: 'F32', shape: [2], start: dataStart, end: dataStart + 8 },
      { name: 'a', dtype: 'F32', shape: [1], start: dataStart + 8, end: dataStart + 12 },
    ]);
  });

  it('takes scalars, empty tensors and trailing spaces', () => {
    const header = {
      scalar: { dtype: 'F32', shape: [], data_offsets: [0, 4] },
      empty: { dtype: 'BF16', shape: [0, 7], data_offsets: [4, 4] },
      after: { dtype: 'U8', shape: [3], data_offsets: [4, 7] },
    };
    const parsed = parseFile(joinFile(JSON.stringify(header) + '   ', new Uint8Array(7)));
    expect(parsed.tensors.map((tensor) => tensor.name)).toEqual(['scalar', 'empty', 'after']);
  });

  it('takes a name that objects have by themselves', () => {
    const header = `{"__proto__":${JSON.stringify(vector(0, 4))},"constructor":${JSON.stringify(vector(4, 8))}}`;
    const parsed = parseFile(joinFile(header, new Uint8Array(8)));
    expect(parsed.tensors.map((tensor) => tensor.name)).toEqual(['__proto__', 'constructor']);
  });

  it.each<[string, unknown, number]>([
    ['not_json', '{"a":', 0],
    ['not_json', '', 0],
    ['not_json', '[['.repeat(100_000), 0],
    ['not_json', '\ufeff{}', 0],
    ['not_an_object', [], 0],
    ['not_an_object', 'null', 0],
    ['duplicate_name', `{"a":${JSON.stringify(vector(0, 4))},"a":${JSON.stringify(vector(0, 4))}}`, 4],
    ['duplicate_name', `{"a":${JSON.stringify(vector(0, 4))},"\\u0061":${JSON.stringify(vector(0, 4))}}`, 4],
    ['duplicate_name', '{"a":{"dtype":"F32","shape":[1],"shape":[1],"data_offsets":[0,4]}}', 4],
    ['metadata_invalid', { __metadata__: { layers: 2 } }, 0],
    ['metadata_invalid', { __metadata__: ['x'] }, 0],
    ['tensor_invalid', { a: [1] }, 0],
    ['dtype_unknown', { a: vector(0, 4, 'F33') }, 4],
    ['dtype_unknown', { a: vector(0, 4, 'toString') }, 4],
    ['shape_invalid', { a: { dtype: 'F32', shape: [-1], data_offsets: [0, 4] } }, 4],
    ['shape_invalid', { a: { dtype: 'F32', shape: [0.5], data_offsets: [0, 4] } }, 4],
    ['shape_invalid', { a: { dtype: 'F32', shape: [2 ** 53], data_offsets: [0, 4] } }, 4],
    ['shape_invalid', { a: { dtype: 'F32', shape: 1, data_offsets: [0, 4] } }, 4],
    ['size_overflow', { a: { dtype: 'F32', shape: [2 ** 40, 2 ** 40], data_offsets: [0, 4] } }, 4],
    ['size_overflow', { a: { dtype: 'F32', shape: [2 ** 27, 2 ** 27, 0], data_offsets: [0, 0] } }, 0],
    ['size_not_whole_bytes', { a: { dtype: 'F4', shape: [3], data_offsets: [0, 2] } }, 2],
    ['size_mismatch', { a: { dtype: 'F32', shape: [2], data_offsets: [0, 4] } }, 4],
    ['size_mismatch', { a: { dtype: 'BF16', shape: [1], data_offsets: [0, 4] } }, 4],
    ['offsets_invalid', { a: { dtype: 'F32', shape: [1], data_offsets: [0] } }, 4],
    ['offsets_invalid', { a: { dtype: 'F32', shape: [1], data_offsets: [-4, 0] } }, 4],
    ['offsets_invalid', { a: { dtype: 'F32', shape: [1] } }, 4],
    ['offsets_reversed', { a: { dtype: 'F32', shape: [1], data_offsets: [4, 0] } }, 4],
    ['offsets_out_of_range', { a: vector(0, 8) }, 4],
    ['offsets_overlap', { a: vector(0, 8), b: vector(4, 12) }, 12],
    ['offsets_overlap', { a: vector(0, 4), b: vector(0, 4) }, 4],
    ['offsets_hole', { a: vector(0, 4), b: vector(8, 12) }, 12],
    ['offsets_hole', { a: vector(4, 8) }, 8],
    ['data_shorter_than_file', { a: vector(0, 4) }, 5],
    ['data_shorter_than_file', {}, 1],
  ])('%s: %j', (reason, header, dataBytes) => {
    expect(reasonOf(header, dataBytes)).toBe(reason);
  });

  it('not_utf8', () => {
    const error = faultOf(() => parseFile(joinFile(Uint8Array.of(0x7b, 0xff, 0x7d), new Uint8Array(0))));
    expect(error.detail.reason).toBe('not_utf8');
  });

  it('refuses hostile nesting without running out of stack', () => {
    const deep = '['.repeat(1e5) + ']'.repeat(1e5);
    expect(reasonOf(`{"a":{"dtype":"F32","shape":${deep},"data_offsets":[0,4]}}`, 4)).toBe('shape_invalid');
    expect(reasonOf(`{"a":${deep}}`, 4)).toBe('tensor_invalid');
  });

  it('names the tensor and the numbers', () => {
    const header = JSON.stringify({ 'model.norm.weight': { dtype: 'F32', shape: [3], data_offsets: [0, 8] } });
    const error = faultOf(() => parseFile(joinFile(header, new Uint8Array(8))));
    expect(error.detail).toMatchObject({ tensor: 'model.norm.weight', expectedBytes: 12, rangeBytes: 8 });
    expect(error.message).toContain('model.norm.weight');
  });
});

describe('properties', () => {
  const dtypes = Object.keys(SAFETENSORS_DTYPE_BITS) as SafetensorsDtype[];
  const tensors = fc.uniqueArray(
    fc.record({
      name: fc.string({ minLength: 1, maxLength: 12, unit: 'grapheme' }).filter((name) => name !== '__metadata__'),
      dtype: fc.constantFrom(...dtypes),
      // The first dimension is a multiple of 8 or 0, so that 4- and 6-bit values come out as whole bytes.
      shape: fc.array(fc.nat(3), { maxLength: 3 }).map((dims) => [8 * (dims.length % 3), ...dims]),
    }),
    { selector: (tensor) => tensor.name, maxLength: 8 },
  );
  const files = tensors.map((list) => {
    const toWrite = list.map((tensor) => {
      const sizeBytes = tensor.shape.reduce((a, b) => a * b, SAFETENSORS_DTYPE_BITS[tensor.dtype]) / 8;
      return { ...tensor, data: new Uint8Array(sizeBytes) };
    });
    return { toWrite, file: writeSafetensors(toWrite, { format: 'pt' }) };
  });

  it('reads back what was written', () => {
    fc.assert(
      fc.property(files, ({ toWrite, file }) => {
        const { tensors: read, dataStart } = parseFile(file);
        const byName = new Map(read.map((tensor) => [tensor.name, tensor]));
        let at = dataStart;
        for (const { name, dtype, shape, data } of toWrite) {
          expect(byName.get(name)).toEqual({ name, dtype, shape, start: at, end: at + data.length });
          at += data.length;
        }
        expect(read.length).toBe(toWrite.length);
      }),
    );
  });

  it('after any mutation: a consistent header, or a LoadError', () => {
    const mutation = fc.record({
      at: fc.double({ min: 0, max: 1, noNaN: true, maxExcluded: true }),
      byte: fc.oneof(fc.nat(255), fc.constantFrom(...new TextEncoder().encode('"{}[],:0123456789-'))),
      cut: fc.boolean(),
    });
    fc.assert(
      fc.property(files, fc.array(mutation, { minLength: 1, maxLength: 4 }), ({ file }, mutations) => {
        let mutant = file.slice();
        const headerEnd = 8 + readHeaderLength(file.subarray(0, 8), file.length, FILE);
        for (const { at, byte, cut } of mutations) {
          const where = Math.floor(at * headerEnd);
          if (where < mutant.length) mutant[where] = byte;
          if (cut) mutant = mutant.slice(0, Math.max(0, mutant.length - 1 - (byte % 5)));
        }
        let parsed;
        try {
          parsed = parseFile(mutant);
        } catch (error) {
          expect(isLoadError(error) && error.code).toBe('safetensors_invalid');
          return;
        }
        // What is accepted still describes the file byte for byte.
        let end = parsed.dataStart;
        for (const tensor of parsed.tensors) {
          expect(tensor.start).toBe(end);
          const bits = tensor.shape.reduce((a, b) => a * b, SAFETENSORS_DTYPE_BITS[tensor.dtype]);
          expect(tensor.end - tensor.start).toBe(bits / 8);
          end = tensor.end;
        }
        expect(end).toBe(mutant.length);
      }),
      { numRuns: 1000 },
    );
  });
});

describe('a file that transformers wrote', () => {
  const path = sharedData('tinystories-656k/hf-bf16/model.safetensors');
  it.skipIf(isAbsent(path))('is read whole', () => {
    const parsed = parseFile(readFileSync(path));
    expect(parsed.tensors.every((tensor) => tensor.dtype === 'BF16')).toBe(true);
    const names = parsed.tensors.map((tensor) => tensor.name);
    expect(names).toContain('model.layers.1.self_attn.k_proj.weight');
    expect(parsed.tensors.find((tensor) => tensor.name === 'model.embed_tokens.weight')?.shape).toEqual([2048, 128]);
  });
});
