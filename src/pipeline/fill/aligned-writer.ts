/**
 * Writes pieces of any length at any offset through a sink that takes whole 4-byte words only (WebGPU's writeBuffer).
 *
 * In: pieces, in any order. Out: writes whose offset and length are multiples of 4. Guarantees: large middles go through
 * without a copy; a word that two pieces share waits for both; the last word of a buffer is padded with zeros, so a write may
 * reach up to 3 bytes past the buffer's planned size (its allocation is rounded up further). Each byte is written once.
 */
import type { WeightBuffer } from '../../contract/plan.ts';
import { Coverage } from './coverage.ts';
import type { BufferPiece } from './encode-block.ts';

/** Takes bytes for a buffer; offset and length are multiples of 4. The bytes are good until what it returns resolves. */
export type WriteBytes = (
  bufferName: string,
  byteOffset: number,
  bytes: Uint8Array<ArrayBuffer>,
) => void | Promise<void>;

const WORD_BYTES = 4;

/** See the file's header. */
export class AlignedWriter {
  readonly #coverage: Coverage;
  readonly #write: WriteBytes;
  /** Words of which some bytes are still to come, by buffer and offset. */
  readonly #partial = new Map<
    string,
    { buffer: string; offset: number; bytes: Uint8Array<ArrayBuffer>; left: number }
  >();

  constructor(buffers: readonly WeightBuffer[], write: WriteBytes) {
    this.#coverage = new Coverage(buffers);
    this.#write = write;
  }

  async write({ buffer, offset, bytes }: BufferPiece): Promise<void> {
    const end = offset + bytes.length;
    this.#coverage.add(buffer, offset, end);
    // A piece that ends the buffer is whole there: the zeros after it are nobody's.
    const wordsStart = Math.ceil(offset / WORD_BYTES) * WORD_BYTES;
    const wordsEnd = Math.floor(end / WORD_BYTES) * WORD_BYTES;
    if (wordsStart > wordsEnd) return this.#patch(buffer, offset, bytes); // within one word
    if (offset < wordsStart) await this.#patch(buffer, offset, bytes.subarray(0, wordsStart - offset));
    if (wordsStart < wordsEnd) {
      await this.#write(buffer, wordsStart, bytes.subarray(wordsStart - offset, wordsEnd - offset));
    }
    if (wordsEnd < end) await this.#patch(buffer, wordsEnd, bytes.subarray(wordsEnd - offset));
  }

  /** @throws LoadError `internal`, naming every buffer that is not full */
  assertComplete(): void {
    this.#coverage.assertComplete();
  }

  async #patch(buffer: string, offset: number, bytes: Uint8Array): Promise<void> {
    const wordOffset = Math.floor(offset / WORD_BYTES) * WORD_BYTES;
    const key = `${buffer}@${wordOffset}`;
    const word = this.#partial.get(key) ?? {
      buffer,
      offset: wordOffset,
      bytes: new Uint8Array(WORD_BYTES),
      left: Math.min(WORD_BYTES, this.#coverage.sizeOf(buffer) - wordOffset),
    };
    word.bytes.set(bytes, offset - wordOffset);
    word.left -= bytes.length;
    if (word.left > 0) {
      this.#partial.set(key, word);
      return;
    }
    this.#partial.delete(key);
    await this.#write(buffer, wordOffset, word.bytes);
  }
}
