/**
 * Care of the cache, inside the worker: lists it, measures it, checks it, takes things out.
 *
 * In: selectors. Out: plain data. Guarantees: what a tab is loading stays and is named; an entry is called complete only if
 * every file of it that any load has touched is; progress of a check never falls and has a constant total; the store is
 * opened at the first call, so that a browser without one still loads the worker.
 */
import { throwIfAborted } from '../base/abort.ts';
import type {
  CachedSnapshotName,
  CacheEntry,
  CacheRemoval,
  CacheSelector,
  CacheUsage,
  VerifyProgress,
  VerifyResult,
} from '../contract/cache.ts';
import { BlobFiles } from '../store/blob-files.ts';
import { isSelected } from '../store/catalog-view.ts';
import type { CacheStore } from '../store/catalog-view.ts';
import { listCache, pin } from '../store/catalog.ts';
import { readUsage } from '../store/quota.ts';
import { CacheRecords } from '../store/records.ts';
import { deleteAll, deleteSnapshots, prune } from '../store/removal.ts';
import { measureChecks, verify } from '../store/verification.ts';

/** See the file's header. Errors: LoadError `storage_unavailable`, `storage_failed`. */
export class CacheService {
  #store: Promise<CacheStore> | null = null;

  async list(): Promise<readonly CacheEntry[]> {
    return (await listCache(await this.#open())).map(countTouchedFiles);
  }

  async usage(): Promise<CacheUsage> {
    return readUsage((await this.#open()).files);
  }

  delete(selector: CacheSelector): Promise<CacheRemoval> {
    return this.#remove((store) => deleteSnapshots(store, [selector]));
  }

  /** Pinned snapshots too. */
  clear(): Promise<CacheRemoval> {
    return this.#remove(deleteAll);
  }

  /** False where nothing was selected. */
  async pin(selector: CacheSelector, pinned: boolean): Promise<boolean> {
    return pin(await this.#open(), selector, pinned);
  }

  prune(keep: readonly CacheSelector[], includePinned: boolean): Promise<CacheRemoval> {
    return this.#remove(async (store) => {
      if (!includePinned) return prune(store, keep);
      const doomed = (await listCache(store)).filter((entry) => !keep.some((selector) => isSelected(selector, entry)));
      return deleteSnapshots(store, doomed);
    });
  }

  /** Null selects everything. @throws LoadError `aborted` */
  async verify(
    selector: CacheSelector | null,
    signal: AbortSignal,
    onProgress: (progress: VerifyProgress) => void,
  ): Promise<VerifyResult> {
    const store = await this.#open();
    // The store checks one selector at a time; for everything that is each model in turn.
    const selectors = selector === null ? await listModels(store.records) : [selector];
    const sizes = await Promise.all(selectors.map((one) => measureChecks(store, one)));
    const totalBytes = sizes.reduce((sum, size) => sum + size, 0);
    const result = { checkedFiles: 0, checkedBytes: 0, damaged: [] as VerifyResult['damaged'][number][] };
    let startBytes = 0;
    let doneBytes = 0;
    onProgress({ doneBytes, totalBytes });
    for (const [index, one] of selectors.entries()) {
      throwIfAborted(signal);
      const sizeBytes = sizes[index] ?? 0;
      const report = (modelBytes: number): void => {
        // A download that ends meanwhile makes the store's own total larger than the one announced.
        doneBytes = Math.max(doneBytes, startBytes + Math.min(modelBytes, sizeBytes));
        onProgress({ doneBytes, totalBytes });
      };
      const { checkedFiles, checkedBytes, damaged } = await verify(store, one, { signal, onProgress: report });
      result.checkedFiles += checkedFiles;
      result.checkedBytes += checkedBytes;
      result.damaged.push(...damaged);
      startBytes += sizeBytes;
    }
    onProgress({ doneBytes: totalBytes, totalBytes });
    return result;
  }

  async #remove(
    work: (store: CacheStore) => Promise<{ readonly inUse: readonly string[]; readonly deleted?: readonly string[] }>,
  ): Promise<CacheRemoval> {
    const store = await this.#open();
    const names = await listNames(store.records);
    const before = await listSizes(store.files);
    const { deleted, inUse } = await work(store);
    const after = await listSizes(store.files);
    let freedBytes = 0;
    for (const [key, sizeBytes] of before) if (!after.has(key)) freedBytes += sizeBytes;
    const toNames = (keys: Iterable<string>): readonly CachedSnapshotName[] =>
      [...keys].flatMap((key) => names.get(key) ?? []);
    const kept = new Set(inUse);
    return {
      removed: toNames(deleted ?? [...names.keys()].filter((key) => !kept.has(key))),
      inUse: toNames(inUse),
      freedBytes,
    };
  }

  #open(): Promise<CacheStore> {
    this.#store ??= openStore().catch((error: unknown) => {
      this.#store = null; // site data may be allowed by the next call
      throw error;
    });
    return this.#store;
  }
}

async function openStore(): Promise<CacheStore> {
  return { files: await BlobFiles.open(), records: new CacheRecords() };
}

/**
 * A plan reads the headers of weight files without asking for the files, so the store does not miss the rest of them. Here a
 * file that is there in part makes the entry partial.
 */
function countTouchedFiles(entry: CacheEntry): CacheEntry {
  return {
    ...entry,
    totalBytes: entry.files.reduce((sum, file) => sum + file.sizeBytes, 0),
    complete: entry.complete && entry.files.every((file) => file.complete),
  };
}

async function listModels(records: CacheRecords): Promise<readonly CacheSelector[]> {
  const modelIds = new Set([...(await records.listSnapshots()).values()].map(({ modelId }) => modelId));
  return [...modelIds].map((modelId) => ({ modelId }));
}

/** Snapshot key → its names, for all that has a record. */
async function listNames(records: CacheRecords): Promise<ReadonlyMap<string, CachedSnapshotName>> {
  const all = [...(await records.listUsage()), ...(await records.listSnapshots())];
  return new Map(all.map(([key, { endpoint, modelId, commit }]) => [key, { endpoint, modelId, commit }]));
}

/** Key → bytes on disk. A half-written file and the blob that it becomes have one key. */
async function listSizes(files: BlobFiles): Promise<ReadonlyMap<string, number>> {
  const stored = [...(await files.listPartial()), ...(await files.listBlobs()), ...(await files.prepared.list())];
  return new Map(stored.map(({ key, sizeBytes }) => [key, sizeBytes]));
}
