import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { AlignedWriter } from '../../../src/pipeline/fill/aligned-writer.ts';

/** Cuts [0, size) at the given places and shuffles the pieces. */
const cutUp = fc.integer({ min: 1, max: 40 }).chain((size) =>
  fc.uniqueArray(fc.nat(size), { maxLength: 8 }).chain((cuts) => {
    const edges = [...new Set([0, ...cuts, size])].sort((a, b) => a - b);
    const pieces = edges.slice(1).map((end, i) => ({ start: edges[i] as number, end }));
    return fc.shuffledSubarray(pieces, { minLength: pieces.length }).map((shuffled) => ({ size, pieces: shuffled }));
  }),
);

const content = (start: number, end: number): Uint8Array<ArrayBuffer> =>
  Uint8Array.from({ length: end - start }, (_, i) => start + i + 1);

describe('AlignedWriter', () => {
  it('any cutting, in any order: whole words, each once, zeros behind the end', async () => {
    await fc.assert(
      fc.asyncProperty(cutUp, async ({ size, pieces }) => {
        const paddedSize = Math.ceil(size / 4) * 4;
        const got = new Uint8Array(paddedSize).fill(0xcc);
        const writesPerByte = new Uint8Array(paddedSize);
        const writer = new AlignedWriter(
          [{ role: 'blocks', name: 'b', type: 'uint8', sizeBytes: size }],
          (_, offset, bytes) => {
            expect([offset % 4, bytes.length % 4]).toEqual([0, 0]);
            got.set(bytes, offset);
            for (let i = 0; i < bytes.length; i++)
              writesPerByte[offset + i] = (writesPerByte[offset + i] as number) + 1;
          },
        );
        for (const { start, end } of pieces)
          await writer.write({ buffer: 'b', offset: start, bytes: content(start, end) });
        writer.assertComplete();
        expect([...got]).toEqual([...content(0, size), ...new Uint8Array(paddedSize - size)]);
        expect(writesPerByte.every((count) => count === 1)).toBe(true);
      }),
    );
  });

  it('notices a missing piece and a piece written twice', async () => {
    await fc.assert(
      fc.asyncProperty(cutUp, fc.nat(), async ({ size, pieces }, pick) => {
        const write = async (list: typeof pieces): Promise<void> => {
          const writer = new AlignedWriter(
            [{ role: 'blocks', name: 'b', type: 'uint8', sizeBytes: size }],
            () => undefined,
          );
          for (const { start, end } of list) {
            await writer.write({ buffer: 'b', offset: start, bytes: content(start, end) });
          }
          writer.assertComplete();
        };
        const chosen = pieces[pick % pieces.length];
        await expect(write(pieces.filter((piece) => piece !== chosen))).rejects.toMatchObject({
          code: 'internal',
          detail: { incomplete: ['b'] },
        });
        await expect(write([...pieces, ...(chosen ? [chosen] : [])])).rejects.toMatchObject({ code: 'internal' });
      }),
    );
  });
});
