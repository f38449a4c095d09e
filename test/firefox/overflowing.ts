/**
 * A checkpoint that float16 does not hold: a block adds more than 65,504 at once, at the first id of a prompt and nowhere else.
 */
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { checkpointFolder } from '../e2e/support.ts';
import type { ContentSpec } from '../hub/index.ts';

/** Layer 0 adds 40,000 to one channel at the first id; doubled, more than float16 holds. */
const OVERFLOWING = { name: 'tiny-qwen2-massive', tensor: 'model.layers.0.mlp.down_proj.weight' };

/** What it is, for people. */
export function describeOverflowing(): string {
  return `${OVERFLOWING.name} with ${OVERFLOWING.tensor} doubled`;
}

/** Its files, for a repository of the local hub. */
export async function makeOverflowing(): Promise<Record<string, ContentSpec>> {
  const directory = checkpointFolder(OVERFLOWING.name) ?? '';
  return {
    'config.json': { path: `${directory}/config.json` },
    'model.safetensors': doubleTensor(await readFile(`${directory}/model.safetensors`), OVERFLOWING.tensor),
  };
}

/** A safetensors file of bf16 with one tensor's values doubled. */
function doubleTensor(file: Buffer, tensor: string): Uint8Array<ArrayBuffer> {
  const headerEnd = 8 + Number(file.readBigUInt64LE(0));
  const header = JSON.parse(file.subarray(8, headerEnd).toString()) as Record<
    string,
    { data_offsets: [number, number] }
  >;
  const [start, end] = header[tensor]?.data_offsets.map((offset) => headerEnd + offset) ?? [];
  assert.ok(start !== undefined && end !== undefined, `no tensor ${tensor}`);
  const bytes = Uint8Array.from(file);
  const view = new DataView(bytes.buffer);
  for (let at = start; at < end; at += 2) {
    const bits = view.getUint16(at, true);
    if ((bits & 0x7fff) !== 0) view.setUint16(at, bits + 0x80, true); // the exponent, up by one
  }
  return bytes;
}
