/**
 * The safetensors header: bytes in, tensors with absolute byte ranges out.
 *
 * In: the first 8 bytes of a file, then its header, and the file's size: a caller can fetch both by range. No I/O here.
 * Out: every tensor's name, dtype, shape and byte range in the file.
 * Guarantees: a header that is returned describes its file completely: tensors lie one after another from the end of the
 * header to the end of the file, without hole or overlap, each as large as its shape and dtype say. Everything else is a
 * LoadError `safetensors_invalid` whose `detail.reason` is one of {@link SafetensorsFault}.
 *
 * Specification: https://huggingface.co/docs/safetensors/index#format
 */
import type { LoadError } from '../../contract/errors.ts';
import { findDuplicateKey } from '../json-keys.ts';
import { isSafetensorsDtype, SAFETENSORS_DTYPE_BITS, type SafetensorsDtype } from './safetensors-dtypes.ts';
import { type SafetensorsFault, safetensorsInvalid } from './safetensors-fault.ts';

/** Bytes before the header: its length as an unsigned 64-bit little-endian integer. */
export const HEADER_LENGTH_BYTES = 8;

/**
 * The longest header that is believed. The reference implementation has the same limit: a real header takes about 130
 * bytes a tensor, so a longer one is an attack on memory. Checked before anything is fetched or allocated.
 */
export const MAX_HEADER_BYTES = 100_000_000;

/** One tensor of a file. */
export interface SafetensorsTensor {
  readonly name: string;
  readonly dtype: SafetensorsDtype;
  readonly shape: readonly number[];
  /** Byte range in the file, half-open, header included. */
  readonly start: number;
  readonly end: number;
}

/** A validated header. */
export interface SafetensorsHeader {
  /** The free-form `__metadata__`, strings only; empty where it is null or absent. */
  readonly metadata: ReadonlyMap<string, string>;
  /** In file order. */
  readonly tensors: readonly SafetensorsTensor[];
  /** Where the data begins: 8 + header length. */
  readonly dataStart: number;
}

/**
 * The header's length in bytes, from the first 8 bytes of the file.
 * @throws LoadError `safetensors_invalid`: `file_too_short`, `header_too_large`, `header_beyond_file`
 */
export function readHeaderLength(first8Bytes: Uint8Array, fileSizeBytes: number, file: string): number {
  if (first8Bytes.length < HEADER_LENGTH_BYTES || fileSizeBytes < HEADER_LENGTH_BYTES) {
    throw safetensorsInvalid(
      'file_too_short',
      file,
      `The file has ${fileSizeBytes} bytes, less than the header's length field.`,
      {
        fileSizeBytes,
      },
    );
  }
  const view = new DataView(first8Bytes.buffer, first8Bytes.byteOffset, HEADER_LENGTH_BYTES);
  const announced = view.getBigUint64(0, true);
  if (announced > BigInt(MAX_HEADER_BYTES)) {
    const detail = { announcedBytes: announced.toString(), maxHeaderBytes: MAX_HEADER_BYTES };
    throw safetensorsInvalid(
      'header_too_large',
      file,
      `It announces ${announced} bytes; the limit is ${MAX_HEADER_BYTES}.`,
      detail,
    );
  }
  const headerBytes = Number(announced);
  if (HEADER_LENGTH_BYTES + headerBytes > fileSizeBytes) {
    const message = `It announces ${headerBytes} bytes in a file of ${fileSizeBytes}.`;
    throw safetensorsInvalid('header_beyond_file', file, message, { headerBytes, fileSizeBytes });
  }
  return headerBytes;
}

/**
 * The tensors of a file, from its header (the bytes after the length field, whole).
 * @throws LoadError `safetensors_invalid`, reasons as in {@link SafetensorsFault}
 */
export function parseHeader(headerBytes: Uint8Array, fileSizeBytes: number, file: string): SafetensorsHeader {
  const entries = Object.entries(parseJsonObject(headerBytes, file));
  const dataStart = HEADER_LENGTH_BYTES + headerBytes.length;
  const dataBytes = fileSizeBytes - dataStart;
  if (dataBytes < 0) {
    const message = `The header ends at ${dataStart} in a file of ${fileSizeBytes} bytes.`;
    throw safetensorsInvalid('header_beyond_file', file, message, { headerBytes: headerBytes.length, fileSizeBytes });
  }

  let metadata: ReadonlyMap<string, string> = new Map();
  const tensors: SafetensorsTensor[] = [];
  for (const [name, value] of entries) {
    if (name === '__metadata__') metadata = value === null ? metadata : readMetadata(value, file);
    else tensors.push(readTensor(name, value, dataStart, dataBytes, file));
  }
  tensors.sort((a, b) => a.start - b.start || a.end - b.end);
  checkContiguous(tensors, dataStart, fileSizeBytes, file);
  return { metadata, tensors, dataStart };
}

function parseJsonObject(headerBytes: Uint8Array, file: string): Record<string, unknown> {
  let text: string;
  try {
    // ignoreBOM keeps a byte order mark in the text, where JSON refuses it, as the reference implementation does.
    text = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(headerBytes);
  } catch (cause) {
    throw safetensorsInvalid('not_utf8', file, 'The header is not UTF-8.', {}, cause);
  }
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    throw safetensorsInvalid('not_json', file, 'The header is not JSON.', {}, cause);
  }
  if (!isRecord(value)) throw safetensorsInvalid('not_an_object', file, 'The header is not a JSON object.', {});
  const duplicate = findDuplicateKey(text);
  if (duplicate !== null) {
    throw safetensorsInvalid('duplicate_name', file, `The header holds "${duplicate}" twice.`, { name: duplicate });
  }
  return value;
}

function readMetadata(value: unknown, file: string): ReadonlyMap<string, string> {
  const fault = (): LoadError =>
    safetensorsInvalid('metadata_invalid', file, '__metadata__ does not map strings to strings.', {});
  if (!isRecord(value)) throw fault();
  const metadata = new Map<string, string>();
  for (const [key, text] of Object.entries(value)) {
    if (typeof text !== 'string') throw fault();
    metadata.set(key, text);
  }
  return metadata;
}

function readTensor(
  name: string,
  value: unknown,
  dataStart: number,
  dataBytes: number,
  file: string,
): SafetensorsTensor {
  const fault = (reason: SafetensorsFault, message: string, detail: Record<string, unknown> = {}): LoadError =>
    safetensorsInvalid(reason, file, `Tensor "${name}": ${message}`, { tensor: name, ...detail });

  if (!isRecord(value)) throw fault('tensor_invalid', 'its entry is not an object.');
  const { dtype, shape, data_offsets: offsets } = value;
  if (!isSafetensorsDtype(dtype)) throw fault('dtype_unknown', `unknown dtype ${show(dtype)}.`, { dtype: show(dtype) });
  if (!isCountArray(shape)) throw fault('shape_invalid', `${show(shape)} is not a shape.`, { shape: show(shape) });
  if (!isCountArray(offsets) || offsets.length !== 2) {
    throw fault('offsets_invalid', `${show(offsets)} is not a pair of offsets.`, { offsets: show(offsets) });
  }
  const [begin, end] = offsets as [number, number];
  if (begin > end) throw fault('offsets_reversed', `its data ends at ${end}, before its start ${begin}.`, { offsets });
  if (end > dataBytes) {
    const message = `its data ends at ${end}, but the file holds ${dataBytes} bytes of data.`;
    throw fault('offsets_out_of_range', message, { offsets, dataBytes });
  }

  const bits = multiplyChecked([...shape, SAFETENSORS_DTYPE_BITS[dtype]]);
  if (bits === null) throw fault('size_overflow', `shape ${show(shape)} overflows.`, { shape: show(shape), dtype });
  if (bits % 8 !== 0)
    throw fault('size_not_whole_bytes', `${bits} bits are not whole bytes.`, { shape: show(shape), dtype });
  if (bits / 8 !== end - begin) {
    const message = `shape ${show(shape)} of ${dtype} takes ${bits / 8} bytes, its range has ${end - begin}.`;
    throw fault('size_mismatch', message, {
      shape: show(shape),
      dtype,
      expectedBytes: bits / 8,
      rangeBytes: end - begin,
    });
  }
  return { name, dtype, shape, start: dataStart + begin, end: dataStart + end };
}

function checkContiguous(
  tensors: readonly SafetensorsTensor[],
  dataStart: number,
  fileSizeBytes: number,
  file: string,
): void {
  let at = dataStart;
  for (const { name, start, end } of tensors) {
    const detail = { tensor: name, start, end, expectedStart: at };
    if (start < at)
      throw safetensorsInvalid('offsets_overlap', file, `Tensor "${name}" overlaps the one before it.`, detail);
    if (start > at) throw safetensorsInvalid('offsets_hole', file, `There is a hole before tensor "${name}".`, detail);
    at = end;
  }
  if (at !== fileSizeBytes) {
    const message = `Its tensors end at byte ${at}, the file at ${fileSizeBytes}.`;
    throw safetensorsInvalid('data_shorter_than_file', file, message, { tensorsEnd: at, fileSizeBytes });
  }
}

/** The product, or null where it leaves the safe integers. */
function multiplyChecked(factors: readonly number[]): number | null {
  let product = 1;
  for (const factor of factors) {
    product *= factor;
    if (!Number.isSafeInteger(product)) return null;
  }
  return product;
}

/** A hostile value, short enough for a message; nesting too deep to be written is said to be so. */
function show(value: unknown): string {
  try {
    const text = JSON.stringify(value) as string | undefined; // undefined for undefined: a key that is absent
    if (text === undefined) return 'nothing';
    return text.length > 100 ? `${text.slice(0, 100)}…` : text;
  } catch {
    return 'a value nested too deeply';
  }
}

function isCountArray(value: unknown): value is readonly number[] {
  return Array.isArray(value) && value.every((n) => Number.isSafeInteger(n) && n >= 0 && !Object.is(n, -0));
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
