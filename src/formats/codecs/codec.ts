/**
 * What a codec is: how one number format of checkpoints is read.
 *
 * Guarantees: no codec knows a file format, and no file format knows how a number is made: they share the name of a codec.
 */
import type { WeightEncoding } from '../../contract/plan.ts';

/**
 * Writes `count` values, from the value `first` on, as float32 bit patterns, from `to[at]` on. (Bit patterns, because a NaN that
 * passes through a JavaScript number may lose its bits.)
 */
export type ReadFloat32 = (first: number, count: number, to: Uint32Array, at: number) => void;

/**
 * Values in the encoding of a weight straight from checkpoint bytes, without a way over float32. `to` is aligned to 4 and as long
 * as the values take. Returns how many of them are infinite where the encoding has a smaller range than float32, else 0.
 */
export type Repack = (from: Uint8Array, to: Uint8Array<ArrayBuffer>) => number;

/** An encoding of single values: no blocks. */
export type PlainEncoding = Exclude<WeightEncoding, 'q8' | 'q4'>;

/** A number format. */
export interface TensorCodec {
  /** Values that are stored together; 1 where each stands by itself. */
  readonly blockValues: number;
  /** Bytes of that many values. */
  readonly blockBytes: number;
  /**
   * A reader of little-endian bytes at any alignment. Two steps, because views on memory are made in the first: making them
   * takes as long as reading a short row.
   */
  readonly toFloat32: (from: Uint8Array) => ReadFloat32;
  /** By encoding, where there is a shorter way than float32, with the same result. */
  readonly repack?: Readonly<Partial<Record<PlainEncoding, Repack>>>;
}

/** The same bytes where a typed array may lie over them: copied only where they lie askew. */
export function alignBytes(bytes: Uint8Array, elementBytes: number): Uint8Array {
  return bytes.byteOffset % elementBytes === 0 ? bytes : bytes.slice();
}
