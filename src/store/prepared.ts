/**
 * Prepared weights on disk: who finds them, when they go.
 *
 * A file in `firstlight/prepared` and a record of the same key. The file is written under its exclusive lock and recorded
 * after it was flushed; it is read under a shared lock, and removed under an exclusive one, record first. Killed in
 * between, what is left is a file without a record, which is never read and which {@link sweepPrepared} removes.
 */
import { isLoadError } from '../contract/errors.ts';
import { holdPrepared } from './blob-lock.ts';
import type { BlobFiles } from './blob-files.ts';
import { PreparedReader } from './prepared-reader.ts';
import type { PreparedContent, PreparedRecord } from './prepared-record.ts';
import { isMadeFrom } from './prepared-record.ts';
import { PreparedWriter } from './prepared-writer.ts';
import type { CacheRecords } from './records.ts';

interface Store {
  readonly files: BlobFiles;
  readonly records: CacheRecords;
}

/** Complete prepared weights, locked against removal until they are closed; null where there are none, or another tab writes them. */
export async function openPrepared({ files, records }: Store, key: string): Promise<PreparedReader | null> {
  if (!(await records.getPrepared(key))) return null;
  const release = await holdPrepared(key, 'shared');
  if (!release) return null;
  try {
    const record = await records.getPrepared(key);
    const file = await files.prepared.openReadable(key);
    if (record && file?.sizeBytes === record.sizeBytes) return await PreparedReader.open(record, file, release);
    file?.close();
  } catch (error) {
    release();
    throw error;
  }
  release();
  return null;
}

/** Notes that they were used: what was used last is removed last. While they are open. */
export async function touchPrepared({ records }: Store, record: PreparedRecord): Promise<void> {
  await records.change([{ kind: 'prepared', key: record.key, value: { ...record, usedAtMs: Date.now() } }]);
}

/** A new file for prepared weights; null where they are complete, or another tab reads or writes them. */
export async function createPrepared(
  { files, records }: Store,
  content: PreparedContent,
): Promise<PreparedWriter | null> {
  const { key } = content;
  const release = await holdPrepared(key, 'exclusive');
  if (!release) return null;
  try {
    const record = await records.getPrepared(key);
    const file = record && (await files.prepared.get(key));
    if (file?.size !== content.sizeBytes) {
      // A record whose file is gone or cut short is no record.
      if (record) await records.change([{ kind: 'prepared', key, value: null }]);
      return await PreparedWriter.open({ files, records, content, release });
    }
  } catch (error) {
    release();
    throw error;
  }
  release();
  return null;
}

/** Removes prepared weights that nobody uses; false where somebody does. */
export async function dropPrepared(store: Store, key: string): Promise<boolean> {
  const release = await holdPrepared(key, 'exclusive');
  if (!release) return false;
  try {
    await removeLocked(store, key);
    return true;
  } finally {
    release();
  }
}

/** Why the file is not what its record says; null where it is. @throws what `onPiece` throws */
export async function findPreparedDamage(
  store: Store,
  { key }: PreparedRecord,
  onPiece: (doneBytes: number) => void,
): Promise<string | null> {
  const reader = await openPrepared(store, key);
  if (!reader) return (await isRecordedAlone(store, key)) ? 'the file is gone or cut short' : null;
  try {
    for await (const { end } of reader.readAll()) onPiece(end);
    return null;
  } catch (error) {
    if (isLoadError(error) && error.code === 'integrity_mismatch') return error.message;
    throw error;
  } finally {
    reader.close();
  }
}

/**
 * Removes what has no record, no file, another converter's version (null: whatever version), or no snapshot any more. What
 * another tab is using is left alone.
 */
export async function sweepPrepared(
  store: Store,
  converterVersion: number | null,
  blobSets: readonly ReadonlySet<string>[],
): Promise<void> {
  const isRubbish = async (key: string): Promise<boolean> => {
    const record = await store.records.getPrepared(key);
    const isCurrent = record && (converterVersion === null || record.converterVersion === converterVersion);
    if (!isCurrent || !blobSets.some((keys) => isMadeFrom(record, keys))) return true;
    return (await store.files.prepared.get(key))?.size !== record.sizeBytes;
  };
  const keys = [
    ...(await store.files.prepared.list()).map(({ key }) => key),
    ...(await store.records.listPrepared()).keys(),
  ];
  for (const key of new Set(keys)) {
    if (!(await isRubbish(key))) continue;
    const release = await holdPrepared(key, 'exclusive', 0);
    if (!release) continue;
    try {
      // Looked at again under the lock: another tab may have finished it since.
      if (await isRubbish(key)) await removeLocked(store, key);
    } finally {
      release();
    }
  }
}

async function removeLocked({ files, records }: Store, key: string): Promise<void> {
  await records.change([{ kind: 'prepared', key, value: null }]);
  await files.prepared.remove(key);
}

/** Whether a record has no file of its size. */
async function isRecordedAlone({ files, records }: Store, key: string): Promise<boolean> {
  const record = await records.getPrepared(key);
  return record !== null && (await files.prepared.get(key))?.size !== record.sizeBytes;
}
