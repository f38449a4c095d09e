/**
 * One download: all bytes of some files into the cache, as far as they are not there yet.
 *
 * In: files. Out: a summary. Guarantees: there is room before the first byte is asked for; the first failure ends all of it;
 * progress never falls, has a constant total, and reaches it only when every file is verified and recorded; whatever the
 * outcome, nothing of it runs when the promise settles, and what arrived is kept.
 */
import { throwIfAborted } from '../../base/abort.ts';
import type { DownloadSummary, FetchProgress, FileStatus } from '../../contract/cache.ts';
import { isLoadError } from '../../contract/errors.ts';
import type { LoadError } from '../../contract/errors.ts';
import type { SnapshotFile } from '../../contract/snapshot.ts';
import { readStatus } from '../../store/catalog.ts';
import { toBlobKey } from '../../store/journal.ts';
import { ensureRoom, foreseeShortage } from '../../store/quota.ts';
import type { BlobTransfer, TransferDeps } from './blob-transfer.ts';
import { openVerifiedBlob } from './blob-transfer.ts';
import { DownloadMeter } from './download-meter.ts';
import type { MeteredFile } from './download-meter.ts';

/** What a download works with. */
export interface DownloadContext {
  readonly deps: TransferDeps;
  /** Spared when room is made. */
  readonly snapshotKey: string;
  getTransfer(key: string, file: SnapshotFile): BlobTransfer;
  /** Says more about an error, where more can be found out. */
  explain(error: unknown, file: SnapshotFile): Promise<unknown>;
  /** Called when every transfer has been asked for its file. */
  onBegun(): void;
  /** May be a call to another worker: the last one is awaited, so that it arrives before the result does. */
  onProgress(progress: FetchProgress): unknown;
}

/** See the file's header. @throws LoadError of stage fetch; `aborted` */
export async function downloadFiles(
  context: DownloadContext,
  files: readonly SnapshotFile[],
  signal: AbortSignal,
): Promise<DownloadSummary> {
  const { deps } = context;
  const items = await listItems(deps, files);
  const meter = new DownloadMeter(items, (progress) => context.onProgress(progress));
  const notices: string[] = [];
  const timer = setInterval(() => meter.report(), deps.tuning.progressIntervalMs);
  try {
    notices.push(...(await makeRoom(context, items)));
    meter.report();
    try {
      await fetchItems(context, items, signal);
    } catch (error) {
      // Full in mid-write, whatever was promised before: what can be evicted now is, and then once more.
      if (!isLoadError(error) || error.code !== 'quota_exceeded') throw error;
      const freed = await makeRoom(context, await listItems(deps, files));
      if (freed.length === 0) throw error;
      notices.push(...freed);
      await fetchItems(context, items, signal);
    }
    throwIfAborted(signal);
    await meter.finish();
  } finally {
    clearInterval(timer);
  }
  const transfers = items.flatMap(({ file, transfers }) => transfers.map(({ transfer }) => ({ file, transfer })));
  return {
    totalBytes: meter.totalBytes,
    networkBytes: meter.networkBytes,
    cachedBytes: Math.max(0, meter.totalBytes - meter.networkBytes),
    restarted: transfers.flatMap(({ file, transfer }) =>
      transfer.restarts.map((reason) => ({ path: file.path, reason })),
    ),
    notices: [...notices, ...new Set(transfers.flatMap(({ transfer }) => transfer.notices))],
  };
}

class DownloadItem implements MeteredFile {
  readonly key: string;
  readonly file: SnapshotFile;
  readonly cachedBytes: number;
  complete: boolean;
  /** With the bytes that each had received before it worked for this download. */
  readonly transfers: { readonly transfer: BlobTransfer; readonly networkStart: number }[] = [];

  constructor(key: string, file: SnapshotFile, cachedBytes: number, complete: boolean) {
    this.key = key;
    this.file = file;
    this.cachedBytes = cachedBytes;
    this.complete = complete;
  }

  get sizeBytes(): number {
    return this.file.sizeBytes;
  }

  get doneBytes(): number {
    return Math.max(this.cachedBytes, this.transfers.at(-1)?.transfer.doneBytes ?? 0);
  }

  get networkBytes(): number {
    return this.transfers.reduce((sum, { transfer, networkStart }) => sum + transfer.networkBytes - networkStart, 0);
  }
}

/** One item a blob: two paths with the same content are one download. */
async function listItems(deps: TransferDeps, files: readonly SnapshotFile[]): Promise<readonly DownloadItem[]> {
  const blobs = new Map<string, SnapshotFile>();
  for (const file of files) {
    const key = await toBlobKey(file);
    if (!blobs.has(key)) blobs.set(key, file);
  }
  // At once: each is a record to be read and a file to be looked at.
  return Promise.all([...blobs].map(([key, file]) => makeItem(deps, key, file)));
}

async function makeItem(deps: TransferDeps, key: string, file: SnapshotFile): Promise<DownloadItem> {
  const blob = await openVerifiedBlob(deps, key, file.sizeBytes);
  if (blob) return new DownloadItem(key, file, file.sizeBytes, true);
  const [status] = await readStatus(deps.records, [file]);
  return new DownloadItem(key, file, status?.cachedBytes ?? 0, false);
}

/** What {@link downloadFiles} would find. */
export interface DownloadOutlook {
  /** How much of each file is there. */
  readonly statuses: readonly FileStatus[];
  /** The `quota_exceeded` that it is going to end with, as far as it can be foreseen; null otherwise. */
  readonly shortage: LoadError | null;
}

/** Changes nothing. */
export async function foreseeDownload(
  deps: TransferDeps,
  files: readonly SnapshotFile[],
  snapshotKey: string,
): Promise<DownloadOutlook> {
  const items = await listItems(deps, files);
  const byKey = new Map(items.map((item) => [item.key, item]));
  const statuses: FileStatus[] = [];
  for (const file of files) {
    const { path, sizeBytes } = file;
    const { cachedBytes = 0, complete = false } = byKey.get(await toBlobKey(file)) ?? {};
    statuses.push({ path, sizeBytes, cachedBytes, complete });
  }
  return { statuses, shortage: await foreseeShortage(deps, countMissing(items), snapshotKey) };
}

function countMissing(items: readonly DownloadItem[]): number {
  return items.reduce((sum, item) => (item.complete ? sum : sum + item.sizeBytes - item.cachedBytes), 0);
}

async function makeRoom(context: DownloadContext, items: readonly DownloadItem[]): Promise<readonly string[]> {
  const { preparedBytes, snapshots } = await ensureRoom(context.deps, countMissing(items), context.snapshotKey);
  const prepared = `Prepared weights (${preparedBytes} bytes) were removed from the cache to make room.`;
  return [
    ...(preparedBytes > 0 ? [prepared] : []),
    ...snapshots.map(
      ({ modelId, sizeBytes }) => `${modelId} (${sizeBytes} bytes) was removed from the cache to make room.`,
    ),
  ];
}

/** All items at once: the pool bounds the connections. The first failure ends the others. */
async function fetchItems(
  context: DownloadContext,
  items: readonly DownloadItem[],
  signal: AbortSignal,
): Promise<void> {
  const stop = new AbortController();
  const stopSignal = AbortSignal.any([signal, stop.signal]);
  const failures: unknown[] = [];
  const fetchItem = async (item: DownloadItem): Promise<void> => {
    const transfer = context.getTransfer(item.key, item.file);
    item.transfers.push({ transfer, networkStart: transfer.networkBytes });
    try {
      await transfer.fetchWhole(stopSignal);
      item.complete = true;
    } catch (error) {
      failures.push(stopSignal.aborted ? error : await context.explain(error, item.file));
      stop.abort();
    }
  };
  const running = items.filter((item) => !item.complete).map(fetchItem);
  context.onBegun();
  await Promise.all(running);
  await Promise.all(items.flatMap((item) => item.transfers.map(({ transfer }) => transfer.settled())));
  if (failures.length > 0) throw failures[0];
}
