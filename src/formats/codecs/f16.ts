/** IEEE 754 binary16. */
import { expandF16 } from '../float16.ts';
import { alignBytes, type TensorCodec } from './codec.ts';

const INFINITY = 0x7c00;
const QUIET = 0x0200;

export const F16: TensorCodec = {
  blockValues: 1,
  blockBytes: 2,
  toFloat32: (from) => {
    const halves = viewHalves(from);
    return (first, count, to, at) => expandF16(halves, first, count, to, at);
  },
  repack: { f16: copyHalves },
};

/** The bytes as they are, but that a signalling NaN becomes a quiet one, as in every conversion. */
function copyHalves(from: Uint8Array, to: Uint8Array<ArrayBuffer>): number {
  to.set(from);
  const halves = new Uint16Array(to.buffer, to.byteOffset, to.length / 2);
  let infinite = 0;
  for (let i = 0; i < halves.length; i++) {
    const bits = halves[i] as number;
    const magnitude = bits & 0x7fff;
    if (magnitude < INFINITY) continue;
    if (magnitude === INFINITY) infinite++;
    else halves[i] = bits | QUIET;
  }
  return infinite;
}

function viewHalves(bytes: Uint8Array): Uint16Array {
  const { buffer, byteOffset, length } = alignBytes(bytes, 2);
  return new Uint16Array(buffer, byteOffset, length / 2);
}
