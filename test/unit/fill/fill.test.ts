import { describe, expect, it } from 'vitest';
import { isLoadError } from '../../../src/contract/errors.ts';
import { createBufferMaker } from '../../../src/pipeline/fill/encode-whole.ts';
import { fillWeights, type FillRequest } from '../../../src/pipeline/fill/fill.ts';
import { computeRotary, type Handmade, type HandmadeWeight, makePlan } from './handmade-plan.ts';
import { dequantise, readValues } from './reference.ts';

const stack = (name: string, rows: readonly number[], cols: number): HandmadeWeight['sources'] =>
  // Named so that the file order (by name) is not the stacking order.
  rows.map((count, i) => ({ tensor: `${name}.${'zam'.charAt(i)}`, shape: [count, cols] }));

const WEIGHTS: readonly HandmadeWeight[] = [
  { name: 'plain', rows: 7, cols: 9, encoding: 'f32', sources: stack('plain', [7], 9) },
  { name: 'half', rows: 6, cols: 5, encoding: 'f16', sources: stack('half', [1, 3, 2], 5) },
  { name: 'qkv4', rows: 13, cols: 72, encoding: 'q4', sources: stack('qkv4', [5, 1, 7], 72) },
  { name: 'qkv8', rows: 9, cols: 40, encoding: 'q8', scaleType: 'float16', sources: stack('qkv8', [3, 1, 5], 40) },
  {
    name: 'bias',
    rows: 1,
    cols: 9,
    encoding: 'f16',
    sources: [
      { tensor: 'bias.q', shape: [3] },
      { tensor: 'bias.k', shape: [1] },
      { tensor: 'bias.v', shape: [5] },
    ],
  },
];

interface Filled {
  readonly buffers: Map<string, Uint8Array>;
  readonly reads: { file: string; start: number; end: number }[];
  readonly progress: { doneBytes: number; totalBytes: number }[];
}

async function fill(made: Handmade, overrides: Partial<FillRequest> = {}): Promise<Filled> {
  const { plan, files } = made;
  const buffers = new Map(
    plan.weights.flatMap((weight) =>
      weight.buffers.map(({ name, sizeBytes }) => [name, new Uint8Array(Math.ceil(sizeBytes / 16) * 16)] as const),
    ),
  );
  const reads: Filled['reads'] = [];
  const progress: Filled['progress'] = [];
  await fillWeights({
    plan,
    read: (file, start, end) => {
      reads.push({ file, start, end });
      return Promise.resolve(files.get(file)?.subarray(start, end) ?? new Uint8Array(0));
    },
    write: (name, offset, bytes) => {
      expect(offset % 4).toBe(0);
      expect(bytes.length % 4).toBe(0);
      expect(bytes.length).toBeGreaterThan(0);
      buffers.get(name)?.set(bytes, offset);
    },
    computeRotary,
    onProgress: (step) => progress.push(step),
    ...overrides,
  });
  return { buffers, reads, progress };
}

/** Checkpoint values of a weight, stacked. */
function expectedValues({ plan, files }: Handmade, name: string): number[] {
  const weight = plan.weights.find((candidate) => candidate.name === name);
  return (weight?.sources ?? []).flatMap(({ file, start, end, codec }) =>
    readValues(files.get(file)?.slice(start, end) ?? new Uint8Array(0), codec),
  );
}

describe('fillWeights', () => {
  it('puts every stacked row where it belongs, in each encoding', async () => {
    const made = makePlan(WEIGHTS);
    const { buffers } = await fill(made);
    const bytes = (name: string): Uint8Array => buffers.get(name) ?? new Uint8Array(0);

    expect(readValues(bytes('plain').slice(0, 7 * 9 * 4), 'f32')).toEqual(expectedValues(made, 'plain'));
    for (const name of ['half', 'bias']) {
      const expected = expectedValues(made, name);
      const got = readValues(bytes(name).slice(0, expected.length * 2), 'f16');
      got.forEach((value, i) => {
        expect(Math.abs(value - (expected[i] as number))).toBeLessThanOrEqual(Math.abs(expected[i] as number) / 2048);
      });
    }
    for (const [name, rows, cols, bits, scaleType] of [
      ['qkv4', 13, 72, 4, 'float32'],
      ['qkv8', 9, 40, 8, 'float16'],
    ] as const) {
      const expected = expectedValues(made, name);
      const read = dequantise(bytes(`${name}.blocks`), bytes(`${name}.scales`), { rows, cols, bits, scaleType });
      read.values.flat().forEach((value, i) => {
        const scale = Math.abs(read.scaleOf(Math.floor(i / cols), i % cols));
        expect(Math.abs(value - (expected[i] as number))).toBeLessThanOrEqual((bits === 8 ? 0.501 : 1.7) * scale);
      });
    }
    expect(readValues(bytes('rotary.sin').slice(0, 60), 'f32')).toEqual([...computeRotary().sin]);
  });

  it('reads each needed byte once, in the order of the files', async () => {
    const made = makePlan(WEIGHTS);
    const { reads } = await fill(made);
    const files = made.plan.weightFiles.map(({ path }) => path);
    const order = reads.map(({ file, start }) => files.indexOf(file) * 1e9 + start);
    expect(order).toEqual([...order].sort((a, b) => a - b));
    const readBytes = reads.reduce((sum, { start, end }) => sum + end - start, 0);
    const neededBytes = made.plan.weights
      .flatMap((weight) => weight.sources)
      .reduce((sum, { start, end }) => sum + end - start, 0);
    expect(readBytes).toBe(neededBytes);
    expect(reads.length).toBe(2); // neighbours are read together: one read a file here
  });

  it('writes the same bytes as the buffers that WebAssembly asks for one by one', async () => {
    const made = makePlan(WEIGHTS);
    const { buffers } = await fill(made);
    const reads: string[] = [];
    const makeBuffer = createBufferMaker(
      made.plan,
      (file, start, end) => {
        reads.push(`${file}:${start}`);
        return made.files.get(file)?.subarray(start, end) ?? new Uint8Array(0);
      },
      computeRotary,
    );
    for (const { name, sizeBytes } of made.plan.weights.flatMap((weight) => weight.buffers)) {
      const made1 = makeBuffer(name);
      expect(made1.length).toBe(sizeBytes);
      expect([...made1]).toEqual([...(buffers.get(name)?.subarray(0, sizeBytes) ?? [])]);
    }
    expect(new Set(reads).size).toBe(reads.length); // scales did not convert their blocks again
  });

  it('reports source bytes that never fall and end at the total', async () => {
    const { progress } = await fill(makePlan(WEIGHTS));
    const total = progress[0]?.totalBytes;
    expect(progress.every(({ totalBytes }) => totalBytes === total)).toBe(true);
    const done = progress.map(({ doneBytes }) => doneBytes);
    expect(done).toEqual([...done].sort((a, b) => a - b));
    expect(done.at(-1)).toBe(total);
  });

  it('a large tensor arrives in reads of at most 2 MiB', async () => {
    const [rows, cols, row] = [600, 4096, 550]; // 4.9 MB of bf16
    const made = makePlan([{ name: 'big', rows, cols, encoding: 'q4', sources: stack('big', [rows], cols) }]);
    const { buffers, reads } = await fill(made);
    expect(reads.map(({ start, end }) => end - start)).toEqual([256, 256, 88].map((count) => count * cols * 2));

    const { file, start } = made.plan.weights[2]?.sources[0] ?? { file: '', start: 0 };
    const rowStart = start + row * cols * 2;
    const expected = readValues(
      made.files.get(file)?.slice(rowStart, rowStart + cols * 2) ?? new Uint8Array(0),
      'bf16',
    );
    const blocks = buffers.get('big.blocks')?.slice(row * 2048, (row + 1) * 2048) ?? new Uint8Array(0);
    const scales = buffers.get('big.scales')?.slice(row * 512, (row + 1) * 512) ?? new Uint8Array(0);
    const read = dequantise(blocks, scales, { rows: 1, cols, bits: 4, scaleType: 'float32' });
    const wrong = expected.filter(
      (value, col) => Math.abs((read.values[0]?.[col] ?? NaN) - value) > 1.7 * Math.abs(read.scaleOf(0, col)),
    );
    expect(wrong).toEqual([]);
  });
});

describe('failures', () => {
  const codeOf = async (work: Promise<unknown>): Promise<string> => {
    try {
      await work;
    } catch (error) {
      if (isLoadError(error)) return error.code;
      throw error;
    }
    return 'nothing was thrown';
  };

  it('a short read is size_mismatch', async () => {
    expect(await codeOf(fill(makePlan(WEIGHTS), { read: () => Promise.resolve(new Uint8Array(3)) }))).toBe(
      'size_mismatch',
    );
  });

  it('a value beyond float16 is unsupported_dtype, naming the tensor', async () => {
    const made = makePlan([WEIGHTS[1] as HandmadeWeight]);
    const { file, start } = made.plan.weights[2]?.sources[0] ?? { file: '', start: 0 };
    made.files.get(file)?.set([0x00, 0x48], start); // bfloat16 0x4800 = 131072
    expect(await codeOf(fill(made))).toBe('unsupported_dtype');
  });

  it('an abort ends the fill between blocks, after the read under way has ended', async () => {
    const controller = new AbortController();
    const made = makePlan(WEIGHTS);
    let running = 0;
    let writes = 0;
    const work = fill(made, {
      signal: controller.signal,
      read: async (file, start, end) => {
        running++;
        await new Promise((resolve) => setTimeout(resolve, 5));
        running--;
        return made.files.get(file)?.subarray(start, end) ?? new Uint8Array(0);
      },
      write: () => {
        writes++;
        if (writes === 4) controller.abort();
      },
    });
    expect(await codeOf(work)).toBe('aborted');
    expect(running).toBe(0);
    expect(writes).toBeLessThan(8);
  });

  it('a sink that fails ends the fill with its error', async () => {
    const failure = new Error('lost');
    await expect(fill(makePlan(WEIGHTS), { write: () => Promise.reject(failure) })).rejects.toBe(failure);
  });

  it('a buffer that no source fills is internal, by name', async () => {
    const made = makePlan(WEIGHTS);
    const weights = made.plan.weights.map((weight) =>
      weight.name === 'qkv4' ? { ...weight, sources: weight.sources.slice(0, 2) } : weight,
    );
    const work = fill({ ...made, plan: { ...made.plan, weights } });
    await expect(work).rejects.toMatchObject({
      code: 'internal',
      detail: { incomplete: ['qkv4.blocks', 'qkv4.scales'] },
    });
  });
});
