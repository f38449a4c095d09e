/**
 * A safetensors writer for tests: lays tensors out one after another, as the format asks, unless told otherwise.
 */
export interface TensorToWrite {
  readonly name: string;
  readonly dtype: string;
  readonly shape: readonly number[];
  readonly data: Uint8Array;
}

/** A whole file. */
export function writeSafetensors(
  tensors: readonly TensorToWrite[],
  metadata?: Readonly<Record<string, string>>,
): Uint8Array<ArrayBuffer> {
  let at = 0;
  const header: [string, unknown][] = metadata ? [['__metadata__', metadata]] : [];
  for (const { name, dtype, shape, data } of tensors) {
    header.push([name, { dtype, shape, data_offsets: [at, at + data.length] }]);
    at += data.length;
  }
  return joinFile(JSON.stringify(Object.fromEntries(header)), concat(tensors.map((tensor) => tensor.data)));
}

/** A file from a header as it is, for headers that lie. */
export function joinFile(header: string | Uint8Array, data: Uint8Array): Uint8Array<ArrayBuffer> {
  const bytes = typeof header === 'string' ? new TextEncoder().encode(header) : header;
  const length = new Uint8Array(8);
  new DataView(length.buffer).setBigUint64(0, BigInt(bytes.length), true);
  return concat([length, bytes, data]);
}

export function concat(parts: readonly Uint8Array[]): Uint8Array<ArrayBuffer> {
  const whole = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}
