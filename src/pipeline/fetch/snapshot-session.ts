/**
 * Stage 4 (fetch), inside the fetch worker: one snapshot's files, opened by one load.
 *
 * In: a pinned snapshot. Out: bytes of its files, from the cache where they are, else from the network into the cache.
 * Guarantees: every whole file is verified against its announced hash before it is called complete; a download's progress
 * never falls, has a constant total, and reaches it only when all is verified and recorded; closing leaves nothing
 * running and nothing locked.
 */
import { throwIfAborted } from '../../base/abort.ts';
import type { DownloadSummary, FetchProgress, FileStatus, RestartedFile } from '../../contract/cache.ts';
import { isLoadError, LoadError } from '../../contract/errors.ts';
import type { Snapshot, SnapshotFile } from '../../contract/snapshot.ts';
import { holdSnapshot } from '../../store/blob-lock.ts';
import { readStatus } from '../../store/catalog.ts';
import { toBlobKey } from '../../store/journal.ts';
import { ensureRoom } from '../../store/quota.ts';
import { toSnapshotKey } from '../../store/records.ts';
import type { BlobTransfer, TransferDeps } from './blob-transfer.ts';
import { openVerifiedBlob } from './blob-transfer.ts';
import { explainUnreachable } from './unreachable.ts';

/** On whose behalf files are fetched. */
export interface FetchAccess {
  readonly endpoint: string;
  readonly token: string | null;
}

/** What a session needs of the worker. */
export interface SessionDeps extends TransferDeps {
  /** The running transfer of a blob, or a new one. */
  getTransfer(snapshot: Snapshot, access: FetchAccess, key: string, file: SnapshotFile): BlobTransfer;
}

/** See the file's header. */
export class SnapshotSession {
  readonly #deps: SessionDeps;
  readonly #snapshot: Snapshot;
  readonly #access: FetchAccess;
  readonly #files: ReadonlyMap<string, SnapshotFile>;
  readonly #close = new AbortController();
  readonly #touched = new Set<BlobTransfer>();
  /** Path → settles when the download that was asked for has begun, or is off. */
  readonly #preparing = new Map<string, Promise<void>>();
  #release: (() => void) | null = null;

  private constructor(deps: SessionDeps, snapshot: Snapshot, access: FetchAccess) {
    this.#deps = deps;
    this.#snapshot = snapshot;
    this.#access = access;
    this.#files = new Map(snapshot.files.map((file) => [file.path, file]));
  }

  static async open(deps: SessionDeps, snapshot: Snapshot, access: FetchAccess): Promise<SnapshotSession> {
    const session = new SnapshotSession(deps, snapshot, access);
    const key = toSnapshotKey(snapshot);
    session.#release = await holdSnapshot(key);
    const { endpoint, modelId, commit } = snapshot;
    if (!(await deps.records.getSnapshot(endpoint, modelId, commit))) await deps.records.putSnapshot(snapshot);
    return session;
  }

  /** A whole file, verified. */
  async readAll(path: string, signal: AbortSignal): Promise<Uint8Array<ArrayBuffer>> {
    const file = this.#getFile(path);
    const both = this.#bind(signal);
    const key = await toBlobKey(file);
    await this.#touch([path]);
    let blob = await openVerifiedBlob(this.#deps, key, file.sizeBytes);
    if (!blob) {
      await this.#attempt(file, key, (transfer) => transfer.fetchWhole(both));
      blob = await openVerifiedBlob(this.#deps, key, file.sizeBytes);
    }
    if (!blob) throw missingBlob(path);
    throwIfAborted(both);
    return new Uint8Array(await blob.arrayBuffer());
  }

  /** Bytes `[start, end)` of a file; fetched alone, and kept, where the cache lacks them. Unverified until complete. */
  async readRange(path: string, start: number, end: number, signal: AbortSignal): Promise<Uint8Array<ArrayBuffer>> {
    return this.#readRange(path, start, end, signal, false);
  }

  /** Like `readRange`, but what a running download will bring is waited for, not asked for again. */
  async waitRange(path: string, start: number, end: number, signal: AbortSignal): Promise<Uint8Array<ArrayBuffer>> {
    return this.#readRange(path, start, end, signal, true);
  }

  async status(paths: readonly string[]): Promise<readonly FileStatus[]> {
    return readStatus(
      this.#deps.records,
      paths.map((path) => this.#getFile(path)),
    );
  }

  /** A complete, verified file. @throws LoadError `not_cached` */
  async openBlob(path: string): Promise<File> {
    const file = this.#getFile(path);
    const blob = await openVerifiedBlob(this.#deps, await toBlobKey(file), file.sizeBytes);
    if (!blob) throw missingBlob(path);
    return blob;
  }

  /** All bytes of these files into the cache. */
  async download(
    paths: readonly string[],
    signal: AbortSignal,
    onProgress: (progress: FetchProgress) => void,
  ): Promise<DownloadSummary> {
    const both = this.#bind(signal);
    throwIfAborted(both);
    // A `waitRange` sent right behind must find this download, though it takes some awaiting to begin.
    const begun = this.#prepare(paths);
    try {
      return await this.#download(paths, both, onProgress, begun);
    } finally {
      begun();
    }
  }

  async #download(
    paths: readonly string[],
    both: AbortSignal,
    onProgress: (progress: FetchProgress) => void,
    begun: () => void,
  ): Promise<DownloadSummary> {
    const items = await this.#listDownload(paths);
    const meter = new DownloadMeter(items, onProgress);
    const notices: string[] = [];
    const stop = new AbortController();
    const stopSignal = AbortSignal.any([both, stop.signal]);
    const started = items.filter((item) => !item.complete);
    const timer = setInterval(() => meter.report(), this.#deps.tuning.progressIntervalMs);
    try {
      await this.#touch(paths);
      notices.push(...(await this.#makeRoom(started)));
      meter.report();
      const fetched = this.#fetchAll(started, stop, stopSignal);
      begun();
      await fetched;
      throwIfAborted(both);
      meter.finish();
    } catch (error) {
      throw isLoadError(error) && error.code === 'network_unreachable' ? await explainUnreachable(error, both) : error;
    } finally {
      clearInterval(timer);
      stop.abort();
      await Promise.all(started.map(async (item) => item.transfer?.settled()));
    }
    const transfers = started.flatMap((item) => (item.transfer ? [{ item, transfer: item.transfer }] : []));
    return {
      totalBytes: meter.totalBytes,
      networkBytes: meter.networkBytes,
      cachedBytes: Math.max(0, meter.totalBytes - meter.networkBytes),
      restarted: transfers.flatMap(({ item, transfer }): RestartedFile[] =>
        transfer.restarts.map((reason) => ({ path: item.file.path, reason })),
      ),
      notices: [...notices, ...new Set(transfers.flatMap(({ transfer }) => transfer.notices))],
    };
  }

  /** Ends everything that this session runs. */
  async close(): Promise<void> {
    this.#close.abort(new LoadError('disposed'));
    await Promise.all([...this.#touched].map((transfer) => transfer.settled()));
    this.#release?.();
    this.#release = null;
  }

  async #readRange(
    path: string,
    start: number,
    end: number,
    signal: AbortSignal,
    wait: boolean,
  ): Promise<Uint8Array<ArrayBuffer>> {
    const file = this.#getFile(path);
    if (!(
      Number.isSafeInteger(start) &&
      Number.isSafeInteger(end) &&
      0 <= start &&
      start <= end &&
      end <= file.sizeBytes
    )) {
      throw new LoadError('invalid_argument', {
        message: `${path} has no bytes ${start} to ${end}; it has ${file.sizeBytes}.`,
        detail: { path, start, end, sizeBytes: file.sizeBytes },
      });
    }
    const both = this.#bind(signal);
    throwIfAborted(both);
    if (start === end) return new Uint8Array();
    if (wait) await this.#preparing.get(path);
    const key = await toBlobKey(file);
    const blob = await openVerifiedBlob(this.#deps, key, file.sizeBytes);
    if (blob) return new Uint8Array(await blob.slice(start, end).arrayBuffer());
    return this.#attempt(file, key, (transfer) =>
      wait && transfer.wantsWhole ? transfer.waitRange(start, end, both) : transfer.fetchRange(start, end, both),
    );
  }

  /** Returns the function that says that the download has begun. */
  #prepare(paths: readonly string[]): () => void {
    let begun: () => void = () => undefined;
    const promise = new Promise<void>((resolve) => (begun = resolve));
    for (const path of paths) this.#preparing.set(path, promise);
    return () => {
      begun();
      for (const path of paths) if (this.#preparing.get(path) === promise) this.#preparing.delete(path);
    };
  }

  async #attempt<T>(file: SnapshotFile, key: string, work: (transfer: BlobTransfer) => Promise<T>): Promise<T> {
    const transfer = this.#getTransfer(key, file);
    try {
      return await work(transfer);
    } catch (error) {
      throw isLoadError(error) && error.code === 'network_unreachable'
        ? await explainUnreachable(error, this.#close.signal)
        : error;
    }
  }

  async #listDownload(paths: readonly string[]): Promise<readonly DownloadItem[]> {
    const items = new Map<string, DownloadItem>();
    for (const path of paths) {
      const file = this.#getFile(path);
      const key = await toBlobKey(file);
      if (items.has(key)) continue;
      const blob = await openVerifiedBlob(this.#deps, key, file.sizeBytes);
      const [status] = await readStatus(this.#deps.records, [file]);
      const cachedBytes = blob ? file.sizeBytes : (status?.cachedBytes ?? 0);
      items.set(key, { key, file, cachedBytes, complete: blob !== null, transfer: null, networkStart: 0 });
    }
    return [...items.values()];
  }

  async #makeRoom(items: readonly DownloadItem[]): Promise<readonly string[]> {
    const neededBytes = items.reduce((sum, item) => sum + item.file.sizeBytes - item.cachedBytes, 0);
    const evicted = await ensureRoom(this.#deps, neededBytes, toSnapshotKey(this.#snapshot));
    return evicted.map(
      (entry) => `${entry.modelId} (${entry.sizeBytes} bytes) was removed from the cache to make room.`,
    );
  }

  /** All items at once: the pool bounds the connections. The first failure ends the others. */
  async #fetchAll(items: readonly DownloadItem[], stop: AbortController, signal: AbortSignal): Promise<void> {
    const failures: unknown[] = [];
    await Promise.all(
      items.map(async (item) => {
        try {
          item.transfer = this.#getTransfer(item.key, item.file);
          item.networkStart = item.transfer.networkBytes;
          await item.transfer.fetchWhole(signal);
          item.complete = true;
        } catch (error) {
          failures.push(error);
          stop.abort();
        }
      }),
    );
    if (failures.length > 0) throw failures[0];
  }

  #getTransfer(key: string, file: SnapshotFile): BlobTransfer {
    const transfer = this.#deps.getTransfer(this.#snapshot, this.#access, key, file);
    this.#touched.add(transfer);
    return transfer;
  }

  #getFile(path: string): SnapshotFile {
    const file = this.#files.get(path);
    if (file) return file;
    throw new LoadError('file_not_found', {
      message: `${this.#snapshot.modelId} has no file "${path}" at ${this.#snapshot.commit}.`,
      detail: { path, modelId: this.#snapshot.modelId, commit: this.#snapshot.commit },
    });
  }

  #bind(signal: AbortSignal): AbortSignal {
    return AbortSignal.any([signal, this.#close.signal]);
  }

  async #touch(paths: readonly string[]): Promise<void> {
    const { endpoint, modelId, commit } = this.#snapshot;
    await this.#deps.records.updateUsage(toSnapshotKey(this.#snapshot), (usage) => ({
      endpoint,
      modelId,
      commit,
      paths: [...new Set([...(usage?.paths ?? []), ...paths])],
      lastUsedAtMs: Date.now(),
      pinned: usage?.pinned ?? false,
    }));
  }
}

interface DownloadItem {
  readonly key: string;
  readonly file: SnapshotFile;
  readonly cachedBytes: number;
  complete: boolean;
  transfer: BlobTransfer | null;
  networkStart: number;
}

/** Adds up progress so that its invariants hold whatever the transfers do (restarts, takeovers). */
class DownloadMeter {
  readonly totalBytes: number;
  readonly #items: readonly DownloadItem[];
  readonly #onProgress: (progress: FetchProgress) => void;
  #doneBytes = -1;
  #networkBytes = 0;

  constructor(items: readonly DownloadItem[], onProgress: (progress: FetchProgress) => void) {
    this.#items = items;
    this.#onProgress = onProgress;
    this.totalBytes = items.reduce((sum, item) => sum + item.file.sizeBytes, 0);
  }

  get networkBytes(): number {
    return this.#items.reduce(
      (sum, item) => sum + (item.transfer ? item.transfer.networkBytes - item.networkStart : 0),
      0,
    );
  }

  report(): void {
    const sum = this.#items.reduce((total, item) => {
      if (item.complete) return total + item.file.sizeBytes;
      // The last byte counts when the file is verified and recorded.
      const doneBytes = Math.max(item.cachedBytes, item.transfer?.doneBytes ?? 0);
      return total + Math.min(doneBytes, Math.max(0, item.file.sizeBytes - 1));
    }, 0);
    this.#emit(Math.min(sum, Math.max(0, this.totalBytes - 1)));
  }

  finish(): void {
    this.#emit(this.totalBytes);
  }

  #emit(doneBytes: number): void {
    const { networkBytes } = this;
    if (doneBytes <= this.#doneBytes && networkBytes === this.#networkBytes) return;
    this.#doneBytes = Math.max(this.#doneBytes, doneBytes);
    this.#networkBytes = networkBytes;
    this.#onProgress({ doneBytes: this.#doneBytes, totalBytes: this.totalBytes, networkBytes });
  }
}

function missingBlob(path: string): LoadError {
  return new LoadError('not_cached', {
    message: `${path} is not complete in the cache.`,
    retryable: true,
    detail: { path },
  });
}
