/**
 * The number formats that a safetensors header may name, and the codecs that read them.
 */
import type { CodecId } from '../../contract/plan.ts';

/** Bits per value of every dtype of the format (https://github.com/huggingface/safetensors, `Dtype`). */
export const SAFETENSORS_DTYPE_BITS = {
  BOOL: 8,
  F4: 4,
  F6_E2M3: 6,
  F6_E3M2: 6,
  U8: 8,
  I8: 8,
  F8_E5M2: 8,
  F8_E4M3: 8,
  F8_E5M2FNUZ: 8,
  F8_E4M3FNUZ: 8,
  F8_E8M0: 8,
  I16: 16,
  U16: 16,
  F16: 16,
  BF16: 16,
  I32: 32,
  U32: 32,
  F32: 32,
  C64: 64,
  F64: 64,
  I64: 64,
  U64: 64,
} as const;

/** A dtype that the format knows. */
export type SafetensorsDtype = keyof typeof SAFETENSORS_DTYPE_BITS;

const CODECS: Readonly<Partial<Record<SafetensorsDtype, CodecId>>> = { F32: 'f32', F16: 'f16', BF16: 'bf16' };

/** Whether the format knows this dtype. */
export function isSafetensorsDtype(value: unknown): value is SafetensorsDtype {
  return typeof value === 'string' && Object.hasOwn(SAFETENSORS_DTYPE_BITS, value);
}

/** The codec of a dtype; null where its tensors cannot become weights. */
export function findCodec(dtype: SafetensorsDtype): CodecId | null {
  return CODECS[dtype] ?? null;
}
