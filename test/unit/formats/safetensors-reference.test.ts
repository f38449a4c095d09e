/**
 * Headers as the safetensors package itself reads them: those that test/reference/references/safetensors_headers.py recorded,
 * and the files of its own tests.
 */
import { existsSync, readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { isLoadError } from '../../../src/contract/errors.ts';
import { parseHeader, readHeaderLength } from '../../../src/formats/safetensors/safetensors.ts';
import { joinFile } from './write-safetensors.ts';

function read(file: Uint8Array): ReturnType<typeof parseHeader> {
  const headerBytes = readHeaderLength(file.subarray(0, 8), file.length, 'x.safetensors');
  return parseHeader(file.subarray(8, 8 + headerBytes), file.length, 'x.safetensors');
}

interface RecordedCase {
  readonly name: string;
  readonly header: string;
  readonly dataBytes: number;
  readonly tensors?: Readonly<Record<string, { readonly dtype: string; readonly shape: readonly number[] }>>;
}

const { cases } = JSON.parse(
  readFileSync(new URL('../../fixtures/reference/safetensors-headers.json', import.meta.url), 'utf8'),
) as { cases: readonly RecordedCase[] };

describe('a header, as the safetensors package reads it', () => {
  test.each(cases)('$name', ({ header, dataBytes, tensors }) => {
    const file = joinFile(header, new Uint8Array(dataBytes));
    if (tensors === undefined) {
      expect(() => read(file)).toThrow(expect.objectContaining({ code: 'safetensors_invalid' }));
      return;
    }
    const found = read(file).tensors.map(({ name, dtype, shape }) => [name, { dtype, shape }] as const);
    expect(Object.fromEntries(found)).toEqual(tensors);
  });
});

/** The errors of the safetensors crate, and what they are called here. */
const REASONS: Readonly<Record<string, readonly string[]>> = {
  HeaderTooLarge: ['header_too_large'],
  HeaderTooSmall: ['file_too_short'],
  InvalidHeaderLength: ['header_beyond_file'],
  InvalidHeader: ['not_utf8'],
  InvalidHeaderDeserialization: ['not_json'],
  MetadataIncompleteBuffer: ['data_shorter_than_file', 'offsets_out_of_range'],
  InvalidOffset: ['offsets_overlap', 'duplicate_name'],
  // Two things are wrong in this file: the size of its tensor, and its end.
  TensorInvalidInfo: ['size_mismatch', 'offsets_out_of_range'],
  ValidationOverflow: ['size_overflow', 'shape_invalid'],
};

const FOLDER = new URL('../../../../shared/data/collected-weights/safetensors-malformed/', import.meta.url);
const isHere = existsSync(FOLDER);
if (!isHere) console.warn(`SKIPPED: ${FOLDER.pathname} is absent`);
const expected = isHere ? readFileSync(new URL('EXPECTED.tsv', FOLDER), 'utf8').trim().split('\n').slice(1) : [];

describe.skipIf(!isHere)("the files of the safetensors package's own tests", () => {
  test.each(expected.map((line) => line.split('\t')))('%s: %s bytes: %s', (name = '', _size, outcome = '') => {
    const file = readFileSync(new URL(name, FOLDER));
    let reason = 'loads';
    try {
      read(file);
    } catch (error) {
      if (!isLoadError(error)) throw error;
      reason = String(error.detail['reason']);
    }
    if (outcome === 'loads') expect(reason).toBe('loads');
    else expect(REASONS[outcome]).toContain(reason);
  });
});
