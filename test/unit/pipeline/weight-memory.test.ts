/**
 * Weights that lie in memory until the runtime asks: as WebAssembly's other way makes them, each as often as it is asked for.
 */
import { describe, expect, it } from 'vitest';
import { createBufferMaker } from '../../../src/pipeline/fill/encode-whole.ts';
import { fillWeights } from '../../../src/pipeline/fill/fill.ts';
import { listReadEnds } from '../../../src/pipeline/fill/row-blocks.ts';
import { WeightMemory } from '../../../src/pipeline/deliver/weight-memory.ts';
import { computeRotary, makePlan } from '../fill/handmade-plan.ts';

const made = makePlan([
  { name: 'tied', rows: 13, cols: 72, encoding: 'q4', sources: [{ tensor: 'tied', shape: [13, 72] }] },
  { name: 'half', rows: 3, cols: 5, encoding: 'f16', sources: [{ tensor: 'half', shape: [3, 5] }] },
]);
const buffers = made.plan.weights.flatMap((weight) => weight.buffers);

async function fill(): Promise<WeightMemory> {
  const memory = new WeightMemory(made.plan);
  await fillWeights({
    plan: made.plan,
    read: (file, start, end) => Promise.resolve(made.files.get(file)?.subarray(start, end) ?? new Uint8Array()),
    write: (name, offset, bytes) => memory.write(name, offset, bytes),
    computeRotary,
  });
  return memory;
}

describe('weights in memory', () => {
  it('are those that are made one by one from files', async () => {
    const memory = await fill();
    const read = (file: string, start: number, end: number): Uint8Array =>
      made.files.get(file)?.subarray(start, end) ?? new Uint8Array();
    const makeBuffer = createBufferMaker(made.plan, read, computeRotary);
    for (const { name, sizeBytes } of buffers) {
      const bytes = memory.take(name);
      expect(bytes).toHaveLength(sizeBytes);
      expect([...bytes], name).toEqual([...makeBuffer(name)]);
    }
  });

  it('one that two tensors share can be taken twice; what was taken as often as it is needed is let go', async () => {
    const memory = await fill();
    const first = [...memory.take('tied.blocks')];
    const scales = memory.take('tied.scales');
    const again = memory.take('tied.blocks');
    expect(scales.byteLength === 0 || !('transfer' in ArrayBuffer.prototype)).toBe(true);
    expect([...again]).toEqual(first);
    memory.take('half');
    expect(() => memory.take('tied.blocks')).toThrow(/once too often/u);
  });
});

describe('where the reads of a file end', () => {
  it('at the last tensor that is needed, whatever lies behind; files in their order', () => {
    const ends = listReadEnds(made.plan.weights, [{ path: 'unneeded' }, ...made.plan.weightFiles]);
    expect([...ends.keys()]).toEqual(made.plan.weightFiles.map(({ path }) => path));
    for (const { path } of made.plan.weightFiles) {
      const sources = made.plan.weights.flatMap((weight) => weight.sources).filter(({ file }) => file === path);
      expect(ends.get(path)).toBe(Math.max(...sources.map(({ end }) => end)));
    }
  });
});
