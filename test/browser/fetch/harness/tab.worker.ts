/**
 * Stands where the model worker does: resolves a model with the real stage 1, and fetches through the real client and the
 * real fetch worker. Tests read results as plain values.
 */
import * as Comlink from 'comlink';
import { FetchHost } from '../../../../src/client/fetch-host.ts';
import { FETCH_WORKER } from '../../../../src/client/page-workers.ts';
import { installErrorTransfer } from '../../../../src/base/comlink-errors.ts';
import type { CacheSelector, DownloadSummary, FetchProgress, FileStatus } from '../../../../src/contract/cache.ts';
import { toErrorData, type LoadErrorData } from '../../../../src/contract/errors.ts';
import type { Snapshot } from '../../../../src/contract/snapshot.ts';
import { openFetchService, type FetchService, type SnapshotFiles } from '../../../../src/pipeline/fetch/service.ts';
import type { FetchTuning } from '../../../../src/pipeline/fetch/tuning.ts';
import { resolveSnapshot } from '../../../../src/pipeline/resolve/resolve.ts';
import { resolveStatic } from '../../../../src/pipeline/resolve/sources/resolve-static.ts';
import { BlobFiles } from '../../../../src/store/blob-files.ts';
import type { CacheStore } from '../../../../src/store/catalog-view.ts';
import * as catalog from '../../../../src/store/catalog.ts';
import { toBlobKey } from '../../../../src/store/journal.ts';
import * as removal from '../../../../src/store/removal.ts';
import { verify } from '../../../../src/store/verification.ts';
import { createStreamHash } from '../../../../src/store/hashing.ts';
import type { SyncFile } from '../../../../src/store/opfs-folder.ts';
import type { ReadableFile } from '../../../../src/store/readable-file.ts';
import { readUsage } from '../../../../src/store/quota.ts';
import { OptionalRecords } from '../../../../src/store/optional-records.ts';
import { CacheRecords } from '../../../../src/store/records.ts';

/** How a download went. */
export interface DownloadOutcome {
  readonly summary: DownloadSummary | null;
  readonly error: LoadErrorData | null;
  readonly progress: readonly FetchProgress[];
  readonly elapsedMs: number;
}

/** A file that was read while it was downloaded. */
export interface WaitedThrough {
  readonly sha256: string;
  readonly firstMs: number;
  readonly endMs: number;
  /** Pieces that came before the file was complete. */
  readonly waited: number;
  /** Of the memory that went along and came back each time. */
  readonly memoryBytes: number;
}

export class TabWorker {
  readonly #records = new CacheRecords();
  #worker: Worker | null = null;
  #service: FetchService | null = null;
  #snapshot: Snapshot | null = null;
  #files: SnapshotFiles | null = null;
  #stop = new AbortController();
  readonly #notices: string[] = [];

  async start(tuning: Partial<FetchTuning>): Promise<void> {
    const start = (name: string): Worker =>
      (this.#worker = new Worker(new URL('../../../../workers/fetch.worker.ts', import.meta.url), {
        type: 'module',
        name,
      }));
    const host = new FetchHost({ ...FETCH_WORKER, start });
    this.#service = await openFetchService(host.openDoor(), { tuning });
    if (this.#service.obstacle) throw this.#service.obstacle;
  }

  async open(
    endpoint: string,
    modelId: string,
    options: { token?: string; dropHashes?: boolean } = {},
  ): Promise<string[]> {
    const token = options.token ?? null;
    const snapshot = await resolveSnapshot(
      { modelId, revision: 'main', offline: false },
      { hub: { endpoint, token }, bundledBaseUrl: null, records: this.#records, retry: { baseDelayMs: 10 } },
    );
    this.#snapshot = options.dropHashes
      ? { ...snapshot, files: snapshot.files.map((file) => ({ ...file, hash: null })) }
      : snapshot;
    this.#notices.length = 0;
    this.#files = await this.#getService().openSnapshot(this.#snapshot, { endpoint, token }, (notice) =>
      this.#notices.push(notice),
    );
    return snapshot.files.map((file) => file.path);
  }

  /** Of files that are kept nowhere: works where `start` found no storage, too. */
  async openUncached(endpoint: string, modelId: string): Promise<void> {
    const snapshot = await resolveSnapshot(
      { modelId, revision: 'main', offline: false },
      { hub: { endpoint, token: null }, bundledBaseUrl: null, records: new OptionalRecords(null) },
    );
    this.#snapshot = snapshot;
    this.#files = await this.#getService().openUncached(snapshot, { endpoint, token: null });
  }

  /** Reads whole files in their order while they come, in pieces; yields the sha256 of each, and the bytes of the network. */
  async readPassing(
    paths: readonly string[],
    pieceBytes: number,
  ): Promise<{ readonly hashes: readonly string[]; readonly networkBytes: number }> {
    const files = this.#getFiles();
    const sizes = new Map(this.#getSnapshot().files.map(({ path, sizeBytes }) => [path, sizeBytes]));
    const readEnds = new Map(paths.map((path) => [path, sizes.get(path) ?? 0]));
    const download = files.download(paths, { readEnds });
    download.catch(() => undefined);
    const hashes: string[] = [];
    for (const [path, sizeBytes] of readEnds) {
      const hash = await createStreamHash('sha256', sizeBytes, null);
      for (let start = 0; start < sizeBytes; start += pieceBytes) {
        const bytes = await files.waitRange(path, { start, end: Math.min(start + pieceBytes, sizeBytes) });
        hash.update(bytes ?? new Uint8Array());
      }
      hashes.push(hash.digest());
    }
    return { hashes, networkBytes: (await download).networkBytes };
  }

  /** A folder of a static server, as far as it has no hashes. */
  async openStatic(modelId: string, baseUrl: string): Promise<string[]> {
    const snapshot = await resolveStatic({ modelId, baseUrl, offline: false }, { records: this.#records });
    this.#snapshot = snapshot;
    this.#files = await this.#getService().openSnapshot(snapshot, { endpoint: baseUrl, token: null });
    return snapshot.files.map((file) => file.path);
  }

  async download(paths: readonly string[]): Promise<DownloadOutcome> {
    const progress: FetchProgress[] = [];
    const startMs = performance.now();
    const outcome = { summary: null, error: null };
    try {
      const summary = await this.#getFiles().download(paths, {
        signal: this.#stop.signal,
        onProgress: (item) => {
          progress.push(item);
          // For a test that is about to kill this browser and cannot ask it afterwards.
          console.debug(`received ${item.networkBytes}`);
        },
      });
      return { ...outcome, summary, progress, elapsedMs: performance.now() - startMs };
    } catch (error) {
      return { ...outcome, error: toErrorData(error), progress, elapsedMs: performance.now() - startMs };
    }
  }

  /** What was said of waits since the snapshot was opened. */
  notices(): readonly string[] {
    return this.#notices;
  }

  /** Cancels the running download and everything else that was given the signal. */
  cancel(): void {
    this.#stop.abort();
    this.#stop = new AbortController();
  }

  async readAll(path: string): Promise<string> {
    return hashHex(await this.#getFiles().readAll(path, { signal: this.#stop.signal }));
  }

  async readRange(path: string, start: number, end: number): Promise<string> {
    return hashHex(await this.#getFiles().readRange(path, start, end, { signal: this.#stop.signal }));
  }

  /** Reads the whole file in pieces, through `waitRange` while a download runs, and itself from when it is complete. */
  async waitThrough(path: string, pieceBytes: number): Promise<WaitedThrough> {
    const sizeBytes = this.#getSnapshot().files.find((file) => file.path === path)?.sizeBytes ?? 0;
    const hash = await createStreamHash('sha256', sizeBytes, null);
    const startMs = performance.now();
    let firstMs = 0;
    let memory = new ArrayBuffer(2 * pieceBytes);
    let file: ReadableFile | null = null;
    let waited = 0;
    let memoryBytes = 0;
    for (let start = 0; start < sizeBytes; start += pieceBytes) {
      const end = Math.min(start + pieceBytes, sizeBytes);
      const bytes = file ? null : await this.#getFiles().waitRange(path, { start, end, memory });
      firstMs ||= performance.now() - startMs;
      if (bytes) {
        waited++;
        memory = bytes.buffer;
        memoryBytes = memory.byteLength;
      } else file ??= await this.#getFiles().openBlob(path);
      hash.update(bytes ?? file?.readSync(start, end) ?? new Uint8Array());
    }
    file?.close();
    return { sha256: hash.digest(), firstMs, endMs: performance.now() - startMs, waited, memoryBytes };
  }

  status(paths: readonly string[]): Promise<readonly FileStatus[]> {
    return this.#getFiles().status(paths);
  }

  /** The sha256 of a complete blob as it lies on the disk. */
  async hashBlob(path: string): Promise<string> {
    const file = await this.#getFiles().openBlob(path);
    try {
      return await hashHex(file.readSync(0, file.sizeBytes));
    } finally {
      file.close();
    }
  }

  /**
   * Every recorded blob whose bytes are not what its record says: must always be empty, whatever was killed when.
   */
  async findLies(): Promise<readonly string[]> {
    const files = await BlobFiles.open();
    const lies: string[] = [];
    for (const blob of (await this.#records.listBlobs()).values()) {
      const file = await files.getBlob(blob.key);
      const hash = await createStreamHash(blob.hash.algorithm, blob.sizeBytes, null);
      if (file) hash.update(new Uint8Array(await file.arrayBuffer()));
      if (!file || hash.digest() !== blob.hash.hex) lies.push(blob.key);
    }
    return lies;
  }

  async list(): Promise<Awaited<ReturnType<typeof catalog.listCache>>> {
    return catalog.listCache(await this.#store());
  }

  async usage(): Promise<Awaited<ReturnType<typeof readUsage>>> {
    return readUsage(await BlobFiles.open());
  }

  async pin(selector: CacheSelector, pinned: boolean): Promise<boolean> {
    return catalog.pin(await this.#store(), selector, pinned);
  }

  async prune(keep: readonly CacheSelector[]): Promise<Awaited<ReturnType<typeof removal.prune>>> {
    return removal.prune(await this.#store(), keep);
  }

  async remove(selectors: readonly CacheSelector[]): Promise<Awaited<ReturnType<typeof removal.deleteSnapshots>>> {
    return removal.deleteSnapshots(await this.#store(), selectors);
  }

  async removeAll(): Promise<Awaited<ReturnType<typeof removal.deleteAll>>> {
    return removal.deleteAll(await this.#store());
  }

  async verify(selector: CacheSelector): Promise<Awaited<ReturnType<typeof verify>>> {
    return verify(await this.#store(), selector);
  }

  /** What lies in the two folders. */
  async listFiles(): Promise<{ blobs: number; partial: number }> {
    const files = await BlobFiles.open();
    return { blobs: (await files.listBlobs()).length, partial: (await files.listPartial()).length };
  }

  /** Flips one bit of a complete blob, as a failing disk would. */
  async damage(path: string, offset: number): Promise<void> {
    const file = this.#getSnapshot().files.find((one) => one.path === path);
    const root = await navigator.storage.getDirectory();
    const folder = await (await root.getDirectoryHandle('firstlight')).getDirectoryHandle('blobs');
    const handle = await openSync(await folder.getFileHandle(file ? await toBlobKey(file) : ''));
    const byte = new Uint8Array(1);
    handle.read(byte, { at: offset });
    byte[0] = (byte[0] ?? 0) ^ 1;
    handle.write(byte, { at: offset });
    handle.close();
  }

  /** Locks that anybody holds or waits for. */
  async locks(): Promise<readonly string[]> {
    const { held = [], pending = [] } = await navigator.locks.query();
    return [...held, ...pending].map((lock) => lock.name ?? '').filter((name) => name.startsWith('firstlight:'));
  }

  async close(): Promise<void> {
    await this.#files?.close();
    this.#files = null;
  }

  async dispose(): Promise<void> {
    await this.#service?.dispose();
    this.#service = null;
    this.#files = null;
  }

  /** The fetch worker goes away without a word. */
  killFetchWorker(): void {
    this.#worker?.terminate();
  }

  async #store(): Promise<CacheStore> {
    return { files: await BlobFiles.open(), records: this.#records };
  }

  #getService(): FetchService {
    if (!this.#service) throw new Error('not started');
    return this.#service;
  }

  #getFiles(): SnapshotFiles {
    if (!this.#files) throw new Error('not open');
    return this.#files;
  }

  #getSnapshot(): Snapshot {
    if (!this.#snapshot) throw new Error('not open');
    return this.#snapshot;
  }
}

/** Worker-only, so the types of the page that includes this file do not know it. */
function openSync(handle: FileSystemFileHandle): Promise<SyncFile> {
  return (handle as unknown as { createSyncAccessHandle(): Promise<SyncFile> }).createSyncAccessHandle();
}

async function hashHex(bytes: Uint8Array<ArrayBuffer>): Promise<string> {
  const digest = new Uint8Array(await crypto.subtle.digest('SHA-256', bytes));
  return Array.from(digest, (byte) => byte.toString(16).padStart(2, '0')).join('');
}

installErrorTransfer();
Comlink.expose(new TabWorker());
