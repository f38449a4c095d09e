/**
 * Stage 4 (fetch), inside the fetch worker, where nothing is kept: one snapshot's files, opened by one load.
 *
 * In: a pinned snapshot. Out: bytes of its files as they come from the network. Small files that are read whole stay in memory until
 * the session is closed; weights pass (passing-transfer.ts), one file behind the other. What the cache holds whole is read
 * there, if there is one: a model of which a part fits crosses the network in part. Guarantees: a file that is read whole, or
 * passes, has its announced hash, or the load ends; memory is bounded by one window for all files that pass; nothing is written;
 * closing leaves nothing running.
 */
import { raceAbort, throwIfAborted } from '../../base/abort.ts';
import { runTogether } from '../../base/together.ts';
import type { DownloadSummary, FetchProgress, FileStatus } from '../../contract/cache.ts';
import { isLoadError, LoadError } from '../../contract/errors.ts';
import type { Snapshot, SnapshotFile } from '../../contract/snapshot.ts';
import { holdSnapshot } from '../../store/blob-lock.ts';
import type { CacheStore } from '../../store/catalog-view.ts';
import { checkHash, hashBlob } from '../../store/hashing.ts';
import { toBlobKey } from '../../store/journal.ts';
import { toSnapshotKey } from '../../store/records.ts';
import { openVerifiedBlob } from './blob-transfer.ts';
import { DownloadMeter } from './download-meter.ts';
import type { DownloadOutlook } from './download.ts';
import { nameFile } from './name-file.ts';
import { PassingTransfer } from './passing-transfer.ts';
import type { PassingDeps } from './passing-transfer.ts';
import { checkRange, missingBlob, noSuchFile } from './snapshot-session.ts';
import type { FetchAccess } from './snapshot-session.ts';
import { explainUnreachable } from './unreachable.ts';
import type { RangeWant } from './want-list.ts';

/** Path → end of the last byte that is read of a file while it passes. In the order in which the files are read. */
export type ReadEnds = ReadonlyMap<string, number>;

/** See the file's header. */
export class UncachedSession {
  readonly #deps: PassingDeps;
  readonly #store: CacheStore | null;
  readonly #snapshot: Snapshot;
  readonly #access: FetchAccess;
  readonly #close = new AbortController();
  readonly #transfers = new Map<string, PassingTransfer>();
  /** Whole small files, and those that are on their way. */
  readonly #whole = new Map<string, Promise<Uint8Array<ArrayBuffer>>>();
  readonly #notices: string[] = [];
  readonly #networkBytes = new Map<string, number>();
  /** Settles when it is known which files of the download pass. */
  #preparing: Promise<void> = Promise.resolve();
  #release: (() => void) | null = null;

  private constructor(deps: PassingDeps, store: CacheStore | null, snapshot: Snapshot, access: FetchAccess) {
    this.#deps = deps;
    this.#store = store;
    this.#snapshot = snapshot;
    this.#access = access;
  }

  /** `store`: the cache to read from; null where there is none, or it is left alone. */
  static async open(
    deps: PassingDeps,
    store: CacheStore | null,
    snapshot: Snapshot,
    access: FetchAccess,
  ): Promise<UncachedSession> {
    const session = new UncachedSession(deps, store, snapshot, access);
    if (store) session.#release = await holdSnapshot(toSnapshotKey(snapshot));
    return session;
  }

  /** A whole file, verified; it stays in memory. */
  async readAll(path: string, signal: AbortSignal): Promise<Uint8Array<ArrayBuffer>> {
    return (await raceAbort(this.#readWhole(this.#getFile(path)), signal)).slice();
  }

  /** Bytes of a file, now. Unverified, until the file passes. */
  async readRange(path: string, start: number, end: number, signal: AbortSignal): Promise<Uint8Array<ArrayBuffer>> {
    const bytes = await this.#read(path, { start, end }, signal, (transfer, range, both) =>
      transfer.readNow(range, both),
    );
    if (bytes) return bytes;
    const blob = await this.openBlob(path);
    return new Uint8Array(await blob.slice(start, end).arrayBuffer());
  }

  /** Bytes of a file as it passes, in its order. Null: the cache has the file. */
  async waitRange(path: string, range: RangeWant, signal: AbortSignal): Promise<Uint8Array<ArrayBuffer> | null> {
    await this.#preparing;
    return this.#read(path, range, signal, (transfer, want, both) => transfer.readPassing(want, both));
  }

  async status(paths: readonly string[]): Promise<readonly FileStatus[]> {
    const files = paths.map((path) => this.#getFile(path));
    return Promise.all(
      files.map(async (file) => {
        const { path, sizeBytes } = file;
        const complete = (await this.#openCached(file)) !== null;
        return { path, sizeBytes, cachedBytes: complete ? sizeBytes : 0, complete };
      }),
    );
  }

  /** Nothing is kept, so nothing is short. */
  async foresee(paths: readonly string[]): Promise<DownloadOutlook> {
    return { statuses: await this.status(paths), shortage: null };
  }

  /** A complete, verified file of the cache. @throws LoadError `not_cached` */
  async openBlob(path: string): Promise<File> {
    const file = await this.#openCached(this.#getFile(path));
    if (!file) throw missingBlob(path);
    return file;
  }

  /** Files that are read while they come pass, the others are fetched whole; all are verified. */
  async download(
    paths: readonly string[],
    signal: AbortSignal,
    onProgress: (progress: FetchProgress) => unknown,
    readEnds: ReadEnds = new Map(),
  ): Promise<DownloadSummary> {
    const both = this.#bind(signal);
    throwIfAborted(both);
    const items = [...new Set(paths)].map((path) => this.#toItem(path, readEnds.get(path) ?? null));
    // A `waitRange` sent right behind must find the file passing, though it takes some awaiting to begin.
    this.#preparing = this.#findCached(items);
    await this.#preparing;
    const meter = new DownloadMeter(items, onProgress);
    const timer = setInterval(() => meter.report(), this.#deps.tuning.progressIntervalMs);
    try {
      meter.report();
      await runTogether(
        both,
        items.filter(({ complete }) => !complete).map((item) => (either: AbortSignal) => this.#fetchItem(item, either)),
      );
      await meter.finish();
    } finally {
      clearInterval(timer);
      await this.#drop(items.flatMap(({ file }) => this.#transfers.get(file.path) ?? []));
    }
    const { totalBytes, networkBytes } = meter;
    const notices = [...new Set(this.#notices)];
    return { totalBytes, networkBytes, cachedBytes: Math.max(0, totalBytes - networkBytes), restarted: [], notices };
  }

  /** Body bytes that the network has brought for this session. */
  receivedBytes(): number {
    return [...this.#networkBytes.values()].reduce((sum, count) => sum + count, 0);
  }

  async close(): Promise<void> {
    this.#close.abort(new LoadError('disposed'));
    await this.#drop([...this.#transfers.values()]);
    await Promise.allSettled(this.#whole.values());
    this.#whole.clear();
    this.#release?.();
    this.#release = null;
  }

  async #fetchItem(item: DownloadItem, signal: AbortSignal): Promise<void> {
    const { file, readEnd } = item;
    if (readEnd === null) await raceAbort(this.#readWhole(file), signal);
    else {
      await this.#getTransfer(file)
        .pass(readEnd, signal)
        .catch(async (error: unknown) => {
          throw await this.#explain(error, file);
        });
    }
    item.complete = true;
  }

  /** Marks what the cache has; what passes has its transfer afterwards, in the order of the items. */
  async #findCached(items: readonly DownloadItem[]): Promise<void> {
    for (const item of items) item.complete = (await this.#openCached(item.file)) !== null;
    for (const { file, readEnd, complete } of items) {
      if (complete || readEnd === null) continue;
      const transfer = this.#getTransfer(file);
      // In the order in which they pass, whichever header was read first.
      this.#transfers.delete(file.path);
      this.#transfers.set(file.path, transfer);
    }
  }

  #toItem(path: string, readEnd: number | null): DownloadItem {
    const before = this.#networkBytes.get(path) ?? 0;
    const read = (): { doneBytes: number; networkBytes: number } => ({
      doneBytes: this.#transfers.get(path)?.doneBytes ?? 0,
      networkBytes: (this.#networkBytes.get(path) ?? 0) - before,
    });
    const file = this.#getFile(path);
    return {
      file,
      readEnd,
      sizeBytes: file.sizeBytes,
      complete: false,
      get doneBytes() {
        return read().doneBytes;
      },
      get networkBytes() {
        return read().networkBytes;
      },
    };
  }

  /** One request for all who ask; a file that arrived damaged is fetched once more. */
  #readWhole(file: SnapshotFile): Promise<Uint8Array<ArrayBuffer>> {
    const { path } = file;
    const known = this.#whole.get(path);
    if (known) return known;
    const reading = this.#fetchWhole(file).catch(async (error: unknown) => {
      if (!isLoadError(error) || !RESTARTS.has(error.code)) throw error;
      this.#notices.push(`${path} arrived damaged, so it was dropped and fetched again.`);
      return this.#fetchWhole(file);
    });
    this.#whole.set(path, reading);
    reading.catch(() => this.#whole.delete(path));
    return reading;
  }

  async #fetchWhole(file: SnapshotFile): Promise<Uint8Array<ArrayBuffer>> {
    const { path, sizeBytes, hash } = file;
    const cached = await this.#openCached(file);
    if (cached) return new Uint8Array(await cached.arrayBuffer());
    const transfer = this.#getTransfer(file);
    try {
      const bytes = await transfer.readNow({ start: 0, end: sizeBytes }, this.#close.signal);
      if (hash) checkHash(hash, await hashBlob(hash.algorithm, new Blob([bytes])));
      return bytes;
    } catch (error) {
      throw nameFile(await this.#explain(error, file), path);
    } finally {
      await this.#drop([transfer]);
    }
  }

  async #read(
    path: string,
    range: RangeWant,
    signal: AbortSignal,
    work: (transfer: PassingTransfer, range: RangeWant, signal: AbortSignal) => Promise<Uint8Array<ArrayBuffer>>,
  ): Promise<Uint8Array<ArrayBuffer> | null> {
    const file = this.#getFile(path);
    checkRange(file, range);
    const both = this.#bind(signal);
    throwIfAborted(both);
    if (range.start === range.end) return new Uint8Array();
    if (await this.#openCached(file)) return null;
    const transfer = this.#getTransfer(file);
    return work(transfer, range, both).catch(async (error: unknown) => {
      throw await this.#explain(error, file);
    });
  }

  #getTransfer(file: SnapshotFile): PassingTransfer {
    const { path } = file;
    const running = this.#transfers.get(path);
    if (running) return running;
    const { modelId, commit } = this.#snapshot;
    const created: PassingTransfer = new PassingTransfer(
      this.#deps,
      { key: path, file, modelId, commit, ...this.#access },
      (count) => this.#networkBytes.set(path, (this.#networkBytes.get(path) ?? 0) + count),
      () => this.#countBytesAhead(created),
    );
    this.#transfers.set(path, created);
    return created;
  }

  /** Of files that pass before this one. */
  #countBytesAhead(transfer: PassingTransfer): number {
    let sum = 0;
    for (const other of this.#transfers.values()) {
      if (other === transfer) return sum;
      if (other.passes) sum += other.leftBytes;
    }
    return sum;
  }

  async #drop(transfers: readonly PassingTransfer[]): Promise<void> {
    await Promise.all(transfers.map((transfer) => transfer.stop()));
    for (const transfer of transfers) this.#notices.push(...transfer.notices);
    for (const [path, transfer] of this.#transfers) if (transfers.includes(transfer)) this.#transfers.delete(path);
  }

  async #openCached(file: SnapshotFile): Promise<File | null> {
    return this.#store && openVerifiedBlob(this.#store, await toBlobKey(file), file.sizeBytes);
  }

  /** Offline or refused by CORS: asked once, when all attempts are spent. */
  async #explain(error: unknown, file: SnapshotFile): Promise<unknown> {
    if (!isLoadError(error) || error.code !== 'network_unreachable') return error;
    return explainUnreachable(error, file.url, this.#close.signal);
  }

  #getFile(path: string): SnapshotFile {
    const file = this.#snapshot.files.find((one) => one.path === path);
    if (!file) throw noSuchFile(this.#snapshot, path);
    return file;
  }

  #bind(signal: AbortSignal): AbortSignal {
    return AbortSignal.any([signal, this.#close.signal]);
  }
}

interface DownloadItem {
  readonly file: SnapshotFile;
  /** Null: it does not pass. */
  readonly readEnd: number | null;
  readonly sizeBytes: number;
  complete: boolean;
  readonly doneBytes: number;
  readonly networkBytes: number;
}

/** What another attempt may mend, as long as nobody has used the bytes. */
const RESTARTS = new Set(['integrity_mismatch', 'file_changed']);
