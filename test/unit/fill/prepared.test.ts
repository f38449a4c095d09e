/**
 * Prepared weights without a disk: the key, the layout, and that reading gives what filling gave, or nothing.
 */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Dtype } from '../../../src/contract/plan.ts';
import type { Snapshot } from '../../../src/contract/snapshot.ts';
import { fillWeights } from '../../../src/pipeline/fill/fill.ts';
import { describePrepared, layOutPrepared } from '../../../src/pipeline/prepared/prepared-layout.ts';
import { PreparedSource } from '../../../src/pipeline/prepared/prepared-weights.ts';
import { createFastHash } from '../../../src/store/hashing.ts';
import { PreparedReader } from '../../../src/store/prepared-reader.ts';
import { readSlices } from '../../../src/store/readable-file.ts';
import { joinPieces, type PreparedPiece } from '../../../src/store/prepared-record.ts';
import { computeRotary, type HandmadeWeight, makePlan } from './handmade-plan.ts';

const WEIGHTS: readonly HandmadeWeight[] = [
  { name: 'norm', rows: 1, cols: 9, encoding: 'f32', sources: [{ tensor: 'norm', shape: [9] }] },
  {
    name: 'qkv',
    rows: 13,
    cols: 72,
    encoding: 'q4',
    sources: [5, 1, 7].map((rows, i) => ({ tensor: `qkv.${'zam'.charAt(i)}`, shape: [rows, 72] })),
  },
  // Odd lengths: two bytes of padding behind the buffer.
  { name: 'half', rows: 3, cols: 5, encoding: 'f16', sources: [{ tensor: 'half', shape: [3, 5] }] },
  {
    name: 'head',
    rows: 9,
    cols: 32,
    encoding: 'q8',
    scaleType: 'float16',
    sources: [{ tensor: 'head', shape: [9, 32] }],
  },
];
const MADE = makePlan(WEIGHTS);
const PLAN: (typeof MADE)['plan'] & { readonly dtype: Dtype } = { ...MADE.plan, dtype: 'q4' };

const FILES: Snapshot['files'] = [...MADE.files].map(([path, { length }], index) => ({
  path,
  sizeBytes: length,
  hash: { algorithm: 'sha256', hex: String(index).repeat(64) },
  url: `https://hub/${path}`,
}));

async function keyOf(plan = PLAN, files = FILES, version?: number): Promise<string | undefined> {
  return (await describePrepared(plan, { source: 'hub', files }, version))?.key;
}

/** What a fill hands to its sink, laid out as a file, with a record of it. */
async function prepare(): Promise<{
  bytes: Uint8Array<ArrayBuffer>;
  pieces: PreparedPiece[];
  filled: Map<string, Uint8Array>;
}> {
  const slots = new Map(layOutPrepared(PLAN.weights).map((slot) => [slot.buffer, slot]));
  const sizeBytes = [...slots.values()].at(-1)?.end ?? 0;
  const bytes = new Uint8Array(sizeBytes);
  const pieces: PreparedPiece[] = [];
  const filled = emptyBuffers();
  const hash = await createFastHash();
  await fillWeights({
    plan: PLAN,
    computeRotary,
    read: async (file, start, end) => MADE.files.get(file)?.subarray(start, end) ?? new Uint8Array(),
    write: (name, offset, written) => {
      filled.get(name)?.set(written, offset);
      const slot = slots.get(name);
      if (!slot) return;
      const start = slot.start + offset;
      bytes.set(written, start);
      pieces.push({ start, end: start + written.length, hash: hash(written) });
    },
  });
  return { bytes, pieces: [...(joinPieces(pieces, sizeBytes) ?? [])], filled };
}

function emptyBuffers(): Map<string, Uint8Array> {
  const buffers = PLAN.weights.flatMap((weight) => weight.buffers);
  return new Map(buffers.map(({ name, sizeBytes }) => [name, new Uint8Array(Math.ceil(sizeBytes / 16) * 16)]));
}

async function openSource(bytes: Uint8Array<ArrayBuffer>, pieces: readonly PreparedPiece[], notices: string[]) {
  const record = { key: 'k', converterVersion: 1, dtype: 'q4' as const, blobKeys: [], usedAtMs: 0 };
  const reader = await PreparedReader.open(
    { ...record, sizeBytes: bytes.length, pieces },
    readSlices(new File([bytes], 'k')),
    () => undefined,
  );
  return new PreparedSource(reader, layOutPrepared(PLAN.weights), (notice) => notices.push(notice));
}

describe('prepared weights', () => {
  it('are the bytes that a fill writes, but for the computed tables, and read as such', async () => {
    const { bytes, pieces, filled } = await prepare();
    expect(pieces.at(-1)?.end).toBe(bytes.length);
    const source = await openSource(bytes, pieces, []);
    const read = emptyBuffers();
    const progress: number[] = [];
    const done = await source.stream(
      (name, offset, part) => {
        expect([offset % 4, part.length % 4]).toEqual([0, 0]);
        read.get(name)?.set(part, offset);
      },
      new AbortController().signal,
      (doneBytes, totalBytes) => progress.push(doneBytes / totalBytes),
    );
    expect(done).toBe(true);
    expect(source.readBytes).toBe(bytes.length);
    expect(progress.at(-1)).toBe(1);
    for (const [name, content] of filled) {
      expect([name, read.get(name)]).toEqual([
        name,
        name.startsWith('rotary') ? new Uint8Array(content.length) : content,
      ]);
    }
  });

  it('with any bit turned are noticed, and no byte of the read with that bit is passed on', async () => {
    const { bytes, pieces } = await prepare();
    await fc.assert(
      fc.asyncProperty(fc.nat(bytes.length * 8 - 1), async (bit) => {
        const damaged = bytes.slice();
        damaged[bit >> 3] = (damaged[bit >> 3] ?? 0) ^ (1 << (bit & 7));
        const notices: string[] = [];
        const source = await openSource(damaged, pieces, notices);
        let writes = 0;
        const done = await source.stream(
          () => {
            writes++;
          },
          new AbortController().signal,
          () => undefined,
        );
        // So small a file is one read.
        expect([done, writes, notices.length]).toEqual([false, 0, 1]);
      }),
      { numRuns: 50 },
    );
  });

  it('cut short are noticed', async () => {
    const { bytes, pieces } = await prepare();
    const notices: string[] = [];
    const source = await openSource(bytes.slice(0, -4), pieces, notices);
    expect(
      await source.stream(
        () => undefined,
        new AbortController().signal,
        () => undefined,
      ),
    ).toBe(false);
    expect(notices).toEqual([expect.stringContaining('bytes there')]);
  });

  it('stop where the load is cancelled', async () => {
    const { bytes, pieces } = await prepare();
    const source = await openSource(bytes, pieces, []);
    const streaming = source.stream(
      () => undefined,
      AbortSignal.abort(),
      () => undefined,
    );
    await expect(streaming).rejects.toMatchObject({ code: 'aborted' });
  });
});

describe('the key of prepared weights', () => {
  it('is the same for the same plan and weights, whatever else the snapshot holds', async () => {
    const key = await keyOf();
    expect(key).toMatch(/^q4-v\d+-[0-9a-f]{64}$/u);
    const [first] = FILES;
    const readme = { ...first, path: 'README.md', hash: null } as Snapshot['files'][number];
    expect(await keyOf(PLAN, [...FILES, readme])).toBe(key);
  });

  it('changes with the weights, their padding, the dtype, the layout and the converter', async () => {
    const [first, ...rest] = FILES;
    const changedFile = { ...first, hash: { algorithm: 'sha256', hex: 'f'.repeat(64) } } as Snapshot['files'][number];
    const split = PLAN.weights.flatMap((weight) =>
      weight.name !== 'norm'
        ? [weight]
        : [{ ...weight, buffers: weight.buffers.map((one) => ({ ...one, name: 'norm.part0' })) }],
    );
    const padding = { rows: { run: 1, zeros: 1 }, cols: null, rowCount: 2, firstRow: 0 };
    const padded = PLAN.weights.map((weight) => ({
      ...weight,
      sources: weight.sources.map((source) => ({ ...source, padding })),
    }));
    const keys = await Promise.all([
      keyOf(),
      keyOf({ ...PLAN, weights: padded }),
      keyOf({ ...PLAN, weights: PLAN.weights.toReversed() }),
      keyOf({ ...PLAN, dtype: 'q8' }),
      keyOf(PLAN, [changedFile, ...rest]),
      keyOf({ ...PLAN, weights: split }),
      keyOf(PLAN, FILES, 99),
    ]);
    expect(new Set(keys).size).toBe(keys.length);
  });

  it('is none where keeping does not pay or the content is not named by a hash', async () => {
    const plain = makePlan(WEIGHTS.filter(({ encoding }) => encoding === 'f32' || encoding === 'f16'));
    expect(await keyOf({ ...plain.plan, dtype: 'fp16' })).toBeUndefined();
    expect(
      await keyOf(
        PLAN,
        FILES.map((file) => ({ ...file, hash: null })),
      ),
    ).toBeUndefined();
    expect(await describePrepared(PLAN, { source: 'folder', files: FILES })).toBeNull();
  });
});
