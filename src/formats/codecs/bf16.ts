/** bfloat16: the upper half of a binary32. */
import { expandBf16 } from '../float16.ts';
import { alignBytes, type TensorCodec } from './codec.ts';

export const BF16: TensorCodec = {
  blockValues: 1,
  blockBytes: 2,
  toFloat32: (from) => {
    const { buffer, byteOffset, length } = alignBytes(from, 4);
    const halves = new Uint16Array(buffer, byteOffset, length / 2);
    const words = new Uint32Array(buffer, byteOffset, Math.floor(length / 4));
    return (first, count, to, at) => expandBf16(halves, words, first, count, to, at);
  },
};
