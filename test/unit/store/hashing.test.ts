import { createHash, randomBytes } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { createStreamHash, hashBlob } from '../../../src/store/hashing.ts';

/** By Node's OpenSSL, and by git's own definition of a blob's name. */
function expected(algorithm: 'sha256' | 'git-sha1', bytes: Uint8Array): string {
  return algorithm === 'sha256'
    ? createHash('sha256').update(bytes).digest('hex')
    : createHash('sha1').update(`blob ${bytes.byteLength}\0`).update(bytes).digest('hex');
}

describe.each(['sha256', 'git-sha1'] as const)('%s', (algorithm) => {
  it.each([0, 1, 55, 64, 65, 4096, 1_000_003])('of %i bytes in pieces agrees with node:crypto', async (sizeBytes) => {
    const bytes = randomBytes(sizeBytes);
    const hash = await createStreamHash(algorithm, sizeBytes, null);
    for (let start = 0; start < sizeBytes; start += 777) hash.update(bytes.subarray(start, start + 777));
    expect(hash.hashedBytes).toBe(sizeBytes);
    expect(hash.digest()).toBe(expected(algorithm, bytes));
    expect(await hashBlob(algorithm, new Blob([bytes]))).toBe(expected(algorithm, bytes));
  });

  it.each([0, 1, 64, 1000, 99_999])('goes on from a state saved after %i bytes', async (cut) => {
    const bytes = randomBytes(100_000);
    const first = await createStreamHash(algorithm, bytes.byteLength, null);
    first.update(bytes.subarray(0, cut));
    const saved = structuredClone(first.save());
    expect(saved.hashedBytes).toBe(cut);
    // What comes after saving must not matter.
    first.update(randomBytes(50));
    const second = await createStreamHash(algorithm, bytes.byteLength, saved);
    second.update(bytes.subarray(cut));
    expect(second.digest()).toBe(expected(algorithm, bytes));
  });

  it('starts over where the state is not one', async () => {
    const hash = await createStreamHash(algorithm, 3, { hashedBytes: 2, state: new Uint8Array(9) });
    expect(hash.hashedBytes).toBe(0);
    hash.update(new Uint8Array([1, 2, 3]));
    expect(hash.digest()).toBe(expected(algorithm, new Uint8Array([1, 2, 3])));
  });
});

it("git's own name for an empty file", async () => {
  expect(await hashBlob('git-sha1', new Blob([]))).toBe('e69de29bb2d1d6434b8b29ae775ad8c2e48c5391');
});
