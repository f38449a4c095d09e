/**
 * Stage 4 (fetch), inside the fetch worker: one snapshot's files, opened by one load.
 *
 * In: a pinned snapshot. Out: bytes of its files, from the cache where they are, else from the network into the cache.
 * Guarantees: every whole file is verified against its announced hash before it is called complete; a download's progress
 * never falls, has a constant total, and reaches it only when all is verified and recorded; closing leaves nothing
 * running and nothing locked.
 */
import { throwIfAborted } from '../../base/abort.ts';
import type { DownloadSummary, FetchProgress, FileStatus } from '../../contract/cache.ts';
import { isLoadError, LoadError } from '../../contract/errors.ts';
import type { Snapshot, SnapshotFile } from '../../contract/snapshot.ts';
import { holdSnapshot } from '../../store/blob-lock.ts';
import { readStatus } from '../../store/catalog.ts';
import { toBlobKey } from '../../store/journal.ts';
import { toSnapshotKey } from '../../store/records.ts';
import type { BlobTransfer, TransferDeps } from './blob-transfer.ts';
import { openVerifiedBlob } from './blob-transfer.ts';
import { downloadFiles, foreseeDownload } from './download.ts';
import type { DownloadContext, DownloadOutlook } from './download.ts';
import { explainUnreachable } from './unreachable.ts';
import type { RangeWant } from './want-list.ts';

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
  /** With the bytes that each had received before this session first asked it. */
  readonly #touched = new Map<BlobTransfer, number>();
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
    const bytes = await this.#findRange(path, { start, end }, signal, false);
    if (bytes) return bytes;
    const blob = await this.openBlob(path);
    return new Uint8Array(await blob.slice(start, end).arrayBuffer());
  }

  /** Like `readRange`, but what a running download will bring is waited for, not asked for again. Null: the file is complete. */
  async waitRange(path: string, range: RangeWant, signal: AbortSignal): Promise<Uint8Array<ArrayBuffer> | null> {
    return this.#findRange(path, range, signal, true);
  }

  async status(paths: readonly string[]): Promise<readonly FileStatus[]> {
    return readStatus(
      this.#deps.records,
      paths.map((path) => this.#getFile(path)),
    );
  }

  /** What a download of these files would find. */
  async foresee(paths: readonly string[]): Promise<DownloadOutlook> {
    return foreseeDownload(
      this.#deps,
      paths.map((path) => this.#getFile(path)),
      toSnapshotKey(this.#snapshot),
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
    onProgress: (progress: FetchProgress) => unknown,
  ): Promise<DownloadSummary> {
    const both = this.#bind(signal);
    throwIfAborted(both);
    // A `waitRange` sent right behind must find this download, though it takes some awaiting to begin.
    const onBegun = this.#prepare(paths);
    try {
      await this.#touch(paths);
      const context: DownloadContext = {
        deps: this.#deps,
        snapshotKey: toSnapshotKey(this.#snapshot),
        getTransfer: (key, file) => this.#getTransfer(key, file),
        explain: (error, file) => this.#explain(error, file),
        onBegun,
        onProgress,
      };
      return await downloadFiles(
        context,
        paths.map((path) => this.#getFile(path)),
        both,
      );
    } finally {
      onBegun();
    }
  }

  /** Body bytes that the network has brought for this session: headers and small files too. */
  receivedBytes(): number {
    return [...this.#touched].reduce((sum, [transfer, before]) => sum + transfer.networkBytes - before, 0);
  }

  /** Ends everything that this session runs. */
  async close(): Promise<void> {
    this.#close.abort(new LoadError('disposed'));
    await Promise.all([...this.#touched.keys()].map((transfer) => transfer.settled()));
    this.#release?.();
    this.#release = null;
  }

  async #findRange(
    path: string,
    range: RangeWant,
    signal: AbortSignal,
    wait: boolean,
  ): Promise<Uint8Array<ArrayBuffer> | null> {
    const { start, end } = range;
    const file = this.#getFile(path);
    checkRange(file, range);
    const both = this.#bind(signal);
    throwIfAborted(both);
    if (start === end) return new Uint8Array();
    if (wait) await this.#preparing.get(path);
    const key = await toBlobKey(file);
    if (await openVerifiedBlob(this.#deps, key, file.sizeBytes)) return null;
    return this.#attempt(file, key, (transfer) =>
      wait && transfer.wantsWhole ? transfer.waitRange(range, both) : transfer.fetchRange(range, both),
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
      throw await this.#explain(error, file);
    }
  }

  /** Offline or refused by CORS: asked once, when all attempts are spent. */
  async #explain(error: unknown, file: SnapshotFile): Promise<unknown> {
    if (!isLoadError(error) || error.code !== 'network_unreachable') return error;
    return explainUnreachable(error, file.url, this.#close.signal);
  }

  #getTransfer(key: string, file: SnapshotFile): BlobTransfer {
    const transfer = this.#deps.getTransfer(this.#snapshot, this.#access, key, file);
    if (!this.#touched.has(transfer)) this.#touched.set(transfer, transfer.networkBytes);
    return transfer;
  }

  #getFile(path: string): SnapshotFile {
    const file = this.#files.get(path);
    if (file) return file;
    throw noSuchFile(this.#snapshot, path);
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

/** @throws LoadError `invalid_argument` where the file has no such bytes */
export function checkRange({ path, sizeBytes }: SnapshotFile, { start, end }: RangeWant): void {
  if (Number.isSafeInteger(start) && Number.isSafeInteger(end) && 0 <= start && start <= end && end <= sizeBytes)
    return;
  throw new LoadError('invalid_argument', {
    message: `${path} has no bytes ${start} to ${end}; it has ${sizeBytes}.`,
    detail: { path, start, end, sizeBytes },
  });
}

/** The error for a path that the snapshot lacks. */
export function noSuchFile({ modelId, commit }: Snapshot, path: string): LoadError {
  return new LoadError('file_not_found', {
    message: `${modelId} has no file "${path}" at ${commit}.`,
    detail: { path, modelId, commit },
  });
}

/** The error for a file that should be in the cache. */
export function missingBlob(path: string): LoadError {
  return new LoadError('not_cached', {
    message: `${path} is not complete in the cache.`,
    retryable: true,
    detail: { path },
  });
}
