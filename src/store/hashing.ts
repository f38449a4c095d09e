/**
 * Hashes of files as they stream, in the two forms that a hub announces.
 *
 * sha256 of the bytes (LFS files); git's blob sha1 (small files), which is the sha1 of `blob <size>\0` and the bytes.
 * WebCrypto cannot stream, so hash-wasm computes; its state can be saved and loaded, so a resumed download need not
 * re-read what is on disk.
 */
import { createSHA1, createSHA256, createXXHash64 } from 'hash-wasm';
import { LoadError } from '../contract/errors.ts';
import type { ContentHash } from '../contract/snapshot.ts';
import type { HashState } from './journal.ts';

/** A hash under way. */
export interface StreamHash {
  /** How many bytes of the file it has seen, from the start. */
  readonly hashedBytes: number;
  update(bytes: Uint8Array): void;
  save(): HashState;
  /** Lower-case hex. Nothing may be added afterwards. */
  digest(): string;
}

/**
 * A hash of a file of `sizeBytes`, from its start or from a saved state; a state that this build of hash-wasm does not
 * accept is ignored (`hashedBytes` is then 0).
 */
export async function createStreamHash(
  algorithm: ContentHash['algorithm'],
  sizeBytes: number,
  saved: HashState | null,
): Promise<StreamHash> {
  const hasher = await (algorithm === 'sha256' ? createSHA256() : createSHA1());
  let hashedBytes = 0;
  if (saved) {
    try {
      hasher.load(saved.state);
      hashedBytes = saved.hashedBytes;
    } catch {
      hashedBytes = 0;
    }
  }
  if (hashedBytes === 0) {
    hasher.init();
    if (algorithm === 'git-sha1') hasher.update(new TextEncoder().encode(`blob ${sizeBytes}\0`));
  }
  return {
    get hashedBytes() {
      return hashedBytes;
    },
    update(bytes) {
      hasher.update(bytes);
      hashedBytes += bytes.byteLength;
    },
    save: () => ({ hashedBytes, state: hasher.save() }),
    digest: () => hasher.digest('hex'),
  };
}

/** @throws LoadError `integrity_mismatch` where the bytes are not those that were announced */
export function checkHash({ algorithm, hex: expected }: ContentHash, actual: string): void {
  if (actual === expected) return;
  throw new LoadError('integrity_mismatch', {
    message: `Expected ${algorithm} ${expected}, got ${actual}.`,
    retryable: true,
    detail: { algorithm, expected, actual },
  });
}

/** The hash of a whole file, read in pieces; `onPiece` is told the bytes done so far and may throw to stop. */
export async function hashBlob(
  algorithm: ContentHash['algorithm'],
  file: Blob,
  onPiece?: (doneBytes: number) => void,
): Promise<string> {
  const hash = await createStreamHash(algorithm, file.size, null);
  for (let start = 0; start < file.size; start += HASH_PIECE_BYTES) {
    hash.update(new Uint8Array(await file.slice(start, start + HASH_PIECE_BYTES).arrayBuffer()));
    onPiece?.(hash.hashedBytes);
  }
  return hash.digest();
}

/** Hash of some bytes, 16 hex digits. */
export type FastHash = (bytes: Uint8Array) => string;

/**
 * A hash against a failing disk, not against an enemy: what only this browser wrote and reads, it needs not to be told by
 * sha256. xxHash64 costs a tenth of what reading costs (8.8 GB/s in hash-wasm, where CRC-32 has 2.2 and BLAKE3 0.8).
 */
export async function createFastHash(): Promise<FastHash> {
  const hasher = await createXXHash64();
  return (bytes) => hasher.init().update(bytes).digest('hex');
}

const HASH_PIECE_BYTES = 4 * 1024 * 1024;
