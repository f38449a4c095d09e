/**
 * Whether the bytes on disk are still what they were announced to be.
 */
import { throwIfAborted } from '../base/abort.ts';
import type { CacheSelector, VerifyResult } from '../contract/cache.ts';
import { tryBlobLock } from './blob-lock.ts';
import { isSelected, listBlobSets, readView } from './catalog-view.ts';
import type { CacheStore } from './catalog-view.ts';
import { hashBlob } from './hashing.ts';
import { toBlobKey } from './journal.ts';
import { dropPrepared, findPreparedDamage } from './prepared.ts';
import { isMadeFrom } from './prepared-record.ts';
import type { BlobRecord } from './records.ts';
import { dropBlob } from './removal.ts';

/**
 * Reads every complete file of the selected snapshots and compares its hash with what was announced, and the weights that were
 * prepared from them likewise with what was recorded. What is damaged loses its record and its bytes. @throws LoadError `aborted`
 */
export async function verify(
  store: CacheStore,
  selector: CacheSelector,
  options: {
    readonly signal?: AbortSignal;
    readonly onProgress?: (doneBytes: number, totalBytes: number) => void;
  } = {},
): Promise<VerifyResult> {
  const checks = await listChecks(store, selector);
  const totalBytes = checks.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0);
  const damaged: VerifyResult['damaged'][number][] = [];
  let doneBytes = 0;
  for (const { path, commit, sizeBytes, findReason, drop } of checks) {
    const reason = await findReason((fileBytes) => {
      throwIfAborted(options.signal);
      options.onProgress?.(doneBytes + fileBytes, totalBytes);
    });
    doneBytes += sizeBytes;
    options.onProgress?.(doneBytes, totalBytes);
    if (reason === null) continue;
    damaged.push({ path, commit, reason });
    await drop();
  }
  return { checkedFiles: checks.length, checkedBytes: totalBytes, damaged };
}

/** Bytes that {@link verify} would read. */
export async function measureChecks(store: CacheStore, selector: CacheSelector): Promise<number> {
  return (await listChecks(store, selector)).reduce((sum, { sizeBytes }) => sum + sizeBytes, 0);
}

/** One thing to verify. */
interface Check {
  readonly path: string;
  readonly commit: string;
  readonly sizeBytes: number;
  readonly findReason: (onPiece: (doneBytes: number) => void) => Promise<string | null>;
  readonly drop: () => Promise<unknown>;
}

/** Each blob and each prepared weights of the selected snapshots, once. */
async function listChecks(store: CacheStore, selector: CacheSelector): Promise<readonly Check[]> {
  const view = await readView(store.records);
  const blobSets = await listBlobSets(view);
  const checks = new Map<string, Check>();
  const selected = [...view.snapshots].filter(([, snapshot]) => isSelected(selector, snapshot));
  for (const [, { commit, files }] of selected) {
    for (const file of files) {
      const blob = view.blobs.get(await toBlobKey(file));
      if (!blob) continue;
      checks.set(`blob:${blob.key}`, {
        path: file.path,
        commit,
        sizeBytes: blob.sizeBytes,
        findReason: (onPiece) => findDamage(store, blob, onPiece),
        drop: () => tryBlobLock(blob.key, () => dropBlob(store, blob.key)),
      });
    }
  }
  for (const [key, { commit }] of selected) {
    for (const record of view.prepared.values()) {
      if (!isMadeFrom(record, blobSets.get(key) ?? new Set())) continue;
      checks.set(`prepared:${record.key}`, {
        path: `prepared weights (${record.dtype})`,
        commit,
        sizeBytes: record.sizeBytes,
        findReason: (onPiece) => findPreparedDamage(store, record, onPiece),
        drop: () => dropPrepared(store, record.key),
      });
    }
  }
  return [...checks.values()];
}

async function findDamage(
  { files }: CacheStore,
  blob: BlobRecord,
  onPiece: (doneBytes: number) => void,
): Promise<string | null> {
  const file = await files.getBlob(blob.key);
  if (!file) return 'the file is gone';
  if (file.size !== blob.sizeBytes) return `${file.size} bytes instead of ${blob.sizeBytes}`;
  const actual = await hashBlob(blob.hash.algorithm, file, onPiece);
  return actual === blob.hash.hex ? null : `${blob.hash.algorithm} is ${actual} instead of ${blob.hash.hex}`;
}
