/** IEEE 754 binary32. */
import { alignBytes, type TensorCodec } from './codec.ts';

export const F32: TensorCodec = {
  blockValues: 1,
  blockBytes: 4,
  toFloat32: (from) => {
    const { buffer, byteOffset, length } = alignBytes(from, 4);
    const patterns = new Uint32Array(buffer, byteOffset, length / 4);
    return (first, count, to, at) => to.set(patterns.subarray(first, first + count), at);
  },
  repack: {
    f32: (from, to) => {
      to.set(from);
      return 0;
    },
  },
};
