/**
 * The bytes of the files that the local hub serves, from memory, disk or a formula. In: a description. Out: a
 * {@link Content}, readable from any offset without holding the file.
 */
import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { open, stat } from 'node:fs/promises';

/** Describes a file's bytes. */
export type ContentSpec =
  | string
  | Uint8Array
  /** A file on disk, read when served. */
  | { readonly path: string }
  /** Pseudo-random bytes of any size, made while they are sent: the same for the same seed, kind and size. */
  | { readonly synthetic: SyntheticSpec }
  /** Several contents after one another, e.g. a safetensors header and a synthetic body. */
  | { readonly concat: readonly ContentSpec[] };

/** Pseudo-random content. */
export interface SyntheticSpec {
  readonly seed: number;
  readonly sizeBytes: number;
  /** `bytes`: any byte. `bf16`, `f32`: finite numbers of about ±0.04, as weights are. Default `bytes`. */
  readonly kind?: 'bytes' | 'bf16' | 'f32';
}

/** Readable bytes. */
export interface Content {
  readonly sizeBytes: number;
  /** The bytes of the half-open range, in pieces. The pieces must not be written to. */
  read(start: number, end: number): AsyncIterable<Uint8Array> | Iterable<Uint8Array>;
}

/** Both hashes by which a hub knows a file. */
export interface ContentHashes {
  readonly sha256: string;
  /** Of the blob object that git would store for these bytes. */
  readonly gitSha1: string;
}

const PIECE_BYTES = 256 * 1024;
const BLOCK_BYTES = 1024 * 1024;

/** Makes a spec readable. */
export async function openContent(spec: ContentSpec): Promise<Content> {
  if (typeof spec === 'string') return memoryContent(new TextEncoder().encode(spec));
  if (spec instanceof Uint8Array) return memoryContent(spec);
  if ('path' in spec) return fileContent(spec.path, (await stat(spec.path)).size);
  if ('synthetic' in spec) return syntheticContent(spec.synthetic);
  return concatContent(await Promise.all(spec.concat.map(openContent)));
}

/** Reads a content once. */
export async function hashContent(content: Content): Promise<ContentHashes> {
  const sha256 = createHash('sha256');
  const gitSha1 = createHash('sha1').update(`blob ${content.sizeBytes}\0`);
  for await (const piece of content.read(0, content.sizeBytes)) {
    sha256.update(piece);
    gitSha1.update(piece);
  }
  return { sha256: sha256.digest('hex'), gitSha1: gitSha1.digest('hex') };
}

/** All bytes of a range in one array, for small contents and for tests that compare. */
export async function readAll(content: Content, start = 0, end = content.sizeBytes): Promise<Uint8Array<ArrayBuffer>> {
  const bytes = new Uint8Array(end - start);
  let offset = 0;
  for await (const piece of content.read(start, end)) {
    bytes.set(piece, offset);
    offset += piece.byteLength;
  }
  return bytes;
}

function memoryContent(bytes: Uint8Array): Content {
  return {
    sizeBytes: bytes.byteLength,
    *read(start, end) {
      for (let at = start; at < end; at += PIECE_BYTES) yield bytes.subarray(at, Math.min(end, at + PIECE_BYTES));
    },
  };
}

function fileContent(path: string, sizeBytes: number): Content {
  return {
    sizeBytes,
    async *read(start, end) {
      if (end <= start) return;
      const file = await open(path);
      try {
        yield* createReadStream('', { fd: file, start, end: end - 1, highWaterMark: PIECE_BYTES, autoClose: false });
      } finally {
        await file.close();
      }
    },
  };
}

function concatContent(parts: readonly Content[]): Content {
  return {
    sizeBytes: parts.reduce((sum, part) => sum + part.sizeBytes, 0),
    async *read(start, end) {
      let base = 0;
      for (const part of parts) {
        const from = Math.max(0, start - base);
        const to = Math.min(part.sizeBytes, end - base);
        if (from < to) yield* part.read(from, to);
        base += part.sizeBytes;
      }
    },
  };
}

/**
 * One random block, repeated; in each copy the low 7 bits of the first eight even bytes are mixed with the copy's
 * number, so that no two blocks are equal and a block at the wrong place changes the hash. In little-endian floats those bits
 * belong to the mantissa. Serving it costs little more than a copy.
 */
function syntheticContent(spec: SyntheticSpec): Content {
  const block = makeBlock(spec);
  return {
    sizeBytes: spec.sizeBytes,
    *read(start, end) {
      for (let at = start; at < end;) {
        const number = Math.floor(at / BLOCK_BYTES);
        const from = at - number * BLOCK_BYTES;
        const to = Math.min(BLOCK_BYTES, from + PIECE_BYTES, from + (end - at));
        yield from < 16 ? stamp(block.slice(from, to), from, number) : block.subarray(from, to);
        at += to - from;
      }
    },
  };
}

function stamp(piece: Uint8Array, from: number, number: number): Uint8Array {
  for (let index = 0; index < 8; index++) {
    const at = index * 2 - from;
    if (at < 0 || at >= piece.byteLength) continue;
    piece[at] = (piece[at] ?? 0) ^ (Math.floor(number / 128 ** index) % 128);
  }
  return piece;
}

function makeBlock(spec: SyntheticSpec): Uint8Array {
  const random = makeRandom(spec.seed);
  const block = new Uint8Array(BLOCK_BYTES);
  const view = new DataView(block.buffer);
  const scratch = new DataView(new ArrayBuffer(4));
  const kind = spec.kind ?? 'bytes';
  for (let at = 0; at < BLOCK_BYTES; at += 4) {
    if (kind === 'bytes') view.setUint32(at, Math.floor(random() * 2 ** 32), true);
    else if (kind === 'f32') view.setFloat32(at, (random() - 0.5) * 0.08, true);
    else {
      for (const half of [at, at + 2]) {
        // The upper half of a float is a bfloat16.
        scratch.setFloat32(0, (random() - 0.5) * 0.08, true);
        view.setUint16(half, scratch.getUint16(2, true), true);
      }
    }
  }
  return block;
}

/** mulberry32: small, seeded, good enough for bytes nobody should guess a pattern in. In [0, 1). */
export function makeRandom(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}
