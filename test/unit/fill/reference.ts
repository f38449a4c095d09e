/**
 * The definitions that the fill is checked against, written from the specifications and as plainly as possible: no code of
 * the product is used here.
 */

/** Values of checkpoint bytes. */
export function readValues(bytes: Uint8Array, dtype: 'f32' | 'f16' | 'bf16'): number[] {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const count = bytes.byteLength / (dtype === 'f32' ? 4 : 2);
  return Array.from({ length: count }, (_, i) => {
    if (dtype === 'f32') return view.getFloat32(i * 4, true);
    const bits = view.getUint16(i * 2, true);
    return dtype === 'f16' ? halfValue(bits) : bf16Value(bits);
  });
}

/** IEEE 754 binary16. */
export function halfValue(bits: number): number {
  const sign = bits & 0x8000 ? -1 : 1;
  const exponent = (bits >> 10) & 31;
  const fraction = bits & 1023;
  if (exponent === 31) return fraction === 0 ? sign * Infinity : NaN;
  return exponent === 0 ? sign * fraction * 2 ** -24 : sign * 2 ** (exponent - 15) * (1 + fraction / 1024);
}

function bf16Value(bits: number): number {
  const view = new DataView(new ArrayBuffer(4));
  view.setUint16(0, bits);
  return view.getFloat32(0);
}

/**
 * MatMulNBits without zero points (onnxruntime, docs/ContribOperators.md): B is [N, k_blocks, blob], codes packed low bits
 * first along K; value = (code - 2^(bits-1)) × scale of its block. Yields [rows, cols] and the scale of each value.
 */
export function dequantise(
  blocks: Uint8Array,
  scales: Uint8Array,
  options: { rows: number; cols: number; bits: 4 | 8; scaleType: 'float32' | 'float16' },
): { values: number[][]; scaleOf: (row: number, col: number) => number; padding: number[] } {
  const { rows, cols, bits, scaleType } = options;
  const blockCount = Math.ceil(cols / 32);
  const scaleValues = readValues(scales, scaleType === 'float16' ? 'f16' : 'f32');
  const scaleOf = (row: number, col: number): number => scaleValues[row * blockCount + Math.floor(col / 32)] as number;
  const codeAt = (row: number, col: number): number => {
    const index = row * blockCount * 32 + col;
    if (bits === 8) return blocks[index] as number;
    const byte = blocks[Math.floor(index / 2)] as number;
    return index % 2 === 0 ? byte % 16 : Math.floor(byte / 16);
  };
  const zero = 2 ** (bits - 1);
  const values = Array.from({ length: rows }, (_, row) =>
    Array.from({ length: cols }, (_, col) => (codeAt(row, col) - zero) * scaleOf(row, col)),
  );
  const padding: number[] = [];
  for (let row = 0; row < rows; row++) {
    for (let col = cols; col < blockCount * 32; col++) padding.push(codeAt(row, col) - zero);
  }
  return { values, scaleOf, padding };
}

/** Normally distributed float32 values from a seed, so that a failure can be repeated. */
export function gaussian(count: number, seed: number, deviation = 0.02): Float32Array<ArrayBuffer> {
  let state = seed >>> 0;
  const uniform = (): number => {
    // mulberry32
    state = (state + 0x6d2b79f5) >>> 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
  return Float32Array.from(
    { length: count },
    () => deviation * Math.sqrt(-2 * Math.log(1 - uniform())) * Math.cos(2 * Math.PI * uniform()),
  );
}

/** Checkpoint bytes of these values, rounded toward zero where the dtype is narrower. */
export function toBytes(values: Float32Array<ArrayBuffer>, dtype: 'f32' | 'bf16'): Uint8Array<ArrayBuffer> {
  if (dtype === 'f32') return new Uint8Array(values.slice().buffer);
  const bits = new Uint32Array(values.slice().buffer);
  return new Uint8Array(Uint16Array.from(bits, (pattern) => pattern >>> 16).buffer);
}
