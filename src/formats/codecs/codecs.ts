/**
 * The number formats that weights are read from. A new one is one file and one line here, and its name in `CodecId`.
 */
import { assert } from '../../base/assert.ts';
import type { CodecId } from '../../contract/plan.ts';
import { BF16 } from './bf16.ts';
import type { TensorCodec } from './codec.ts';
import { F16 } from './f16.ts';
import { F32 } from './f32.ts';

/** By name. */
export const CODECS: Readonly<Record<CodecId, TensorCodec>> = { f32: F32, f16: F16, bf16: BF16 };

/** Bytes that `valueCount` values take in a checkpoint: whole blocks. */
export function countStoredBytes(codec: CodecId, valueCount: number): number {
  const { blockValues, blockBytes } = CODECS[codec];
  assert(valueCount % blockValues === 0, `${valueCount} values are whole blocks of ${codec}`);
  return (valueCount / blockValues) * blockBytes;
}
