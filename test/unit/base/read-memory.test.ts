import { describe, expect, it } from 'vitest';
import { ReadMemory } from '../../../src/base/read-memory.ts';

describe('ReadMemory', () => {
  it('reads in turns into two buffers', () => {
    const reads = new ReadMemory(8);
    const taken = Array.from({ length: 6 }, () => {
      const memory = reads.take(8);
      reads.give(memory);
      return memory;
    });
    expect(new Set(taken).size).toBe(2);
    for (const [index, memory] of taken.entries()) expect(memory).toBe(taken[index % 2]);
  });

  it('a read never gets the memory of the one before it, which may still be worked on', () => {
    const reads = new ReadMemory(8);
    let before: ArrayBuffer | null = null;
    for (let index = 0; index < 10; index++) {
      const memory = reads.take(8);
      expect(memory).not.toBe(before);
      // Every third read fails, and its memory is gone.
      if (index % 3 !== 2) reads.give(memory);
      before = memory;
    }
  });

  it('makes what a read needs, and no less than is usual', () => {
    const reads = new ReadMemory(8);
    expect(reads.take(3).byteLength).toBe(8);
    expect(reads.take(20).byteLength).toBe(20);
  });

  it('takes over what came back as another object', () => {
    const reads = new ReadMemory(8);
    reads.give(structuredClone(reads.take(8)));
    const back = reads.take(8);
    reads.give(back);
    const [third, fourth] = [reads.take(8), reads.take(8)];
    expect([third.byteLength, fourth.byteLength]).toEqual([8, 8]);
    expect(fourth).toBe(back);
  });

  it('what went away and is empty is not given out', () => {
    const reads = new ReadMemory(8);
    const memory = reads.take(8);
    reads.give(memory);
    structuredClone(memory, { transfer: [memory] });
    reads.take(8);
    expect(reads.take(8).byteLength).toBe(8);
  });
});
