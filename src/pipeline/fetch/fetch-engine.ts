/**
 * The fetch worker's side of the boundary: what `workers/fetch.worker.ts` exposes over comlink.
 *
 * In: plain data and operation ids (an AbortSignal cannot be cloned; `cancel(operationId)` stands for it). Out: plain
 * data, with byte arrays transferred. Errors cross whole once both sides have called `installErrorTransfer`.
 */
import { transfer } from 'comlink';
import { Operations } from '../../base/linked-worker.ts';
import type { DownloadSummary, FetchProgress, FileStatus } from '../../contract/cache.ts';
import { LoadError, toErrorData } from '../../contract/errors.ts';
import type { LoadErrorData } from '../../contract/errors.ts';
import type { Snapshot, SnapshotFile } from '../../contract/snapshot.ts';
import type { OperationId } from '../../contract/worker-api.ts';
import { BlobFiles } from '../../store/blob-files.ts';
import { sweep } from '../../store/removal.ts';
import { HasherFactory } from '../../store/file-hasher.ts';
import { CacheRecords } from '../../store/records.ts';
import { storageUnavailable, toStorageError } from '../../store/storage-error.ts';
import { BlobChannel } from './blob-channel.ts';
import { BlobTransfer } from './blob-transfer.ts';
import { createBodyBuffers } from './body-reader.ts';
import { ConnectionBudget } from './connection-budget.ts';
import { ConnectionPool } from './connection-pool.ts';
import { HostPauses } from './host-pauses.ts';
import { createPassingDeps } from './passing-transfer.ts';
import type { PassingDeps } from './passing-transfer.ts';
import { RangeSizer } from './range-sizer.ts';
import { SnapshotSession } from './snapshot-session.ts';
import type { FetchAccess, SessionDeps } from './snapshot-session.ts';
import { DEFAULT_TUNING } from './tuning.ts';
import type { FetchTuning } from './tuning.ts';
import { UncachedSession } from './uncached-session.ts';
import type { ReadEnds } from './uncached-session.ts';
import type { RangeWant } from './want-list.ts';

/** What crosses the boundary: the methods of {@link FetchEngine}. */
export type FetchWorkerApi = Pick<
  FetchEngine,
  | 'start'
  | 'openSession'
  | 'readAll'
  | 'readRange'
  | 'waitRange'
  | 'receivedBytes'
  | 'status'
  | 'foresee'
  | 'openBlob'
  | 'download'
  | 'cancel'
  | 'closeSession'
  | 'shutDown'
>;

/** What both kinds of session can do. */
type Session = Pick<
  UncachedSession,
  'readAll' | 'readRange' | 'waitRange' | 'status' | 'openBlob' | 'download' | 'receivedBytes' | 'close'
> &
  Pick<SnapshotSession, 'foresee'>;

/** What the fetch worker brings. */
export interface FetchEngineOptions {
  /** Whether this browser gives the page locks. */
  readonly hasLocks: Promise<boolean>;
  readonly startHashWorker: (name: string) => Worker;
  /** Prepared weights of another version are removed at the start. */
  readonly converterVersion: number;
}

/** See the file's header. */
export class FetchEngine {
  readonly #sessions = new Map<number, Session>();
  readonly #listeners = new Map<number, (message: string) => unknown>();
  readonly #operations = new Operations();
  readonly #transfers = new Map<string, BlobTransfer>();
  readonly #buffers = createBodyBuffers();
  readonly #hashers: HasherFactory;
  readonly #hasLocks: Promise<boolean>;
  readonly #converterVersion: number;
  #tuning: FetchTuning | null = null;
  /** Null where this page has no storage, or it is left alone. */
  #deps: Promise<SessionDeps> | null = null;
  #obstacle: LoadError | null = null;
  #uncachedDeps: PassingDeps | null = null;
  #sweep: Promise<void> = Promise.resolve();
  #nextSession = 1;

  constructor(options: FetchEngineOptions) {
    this.#hasLocks = options.hasLocks;
    this.#converterVersion = options.converterVersion;
    this.#hashers = new HasherFactory(options.startHashWorker, this.#buffers);
  }

  /** Opens the store and clears what a crash left; yields `storage_unavailable` where there is none. @throws LoadError `storage_failed` */
  async start(tuning: Partial<FetchTuning>, useStore: boolean): Promise<LoadErrorData | null> {
    this.#tuning = { ...DEFAULT_TUNING, ...tuning };
    try {
      if (!(await this.#hasLocks)) throw storageUnavailable('The lock manager'); // the store needs locks, too
      this.#deps ??= useStore ? this.#open(this.#tuning) : null;
      await this.#deps;
      return null;
    } catch (error) {
      this.#deps = null;
      const problem = toStorageError(error, 'The lock manager');
      if (problem.code !== 'storage_unavailable') throw problem;
      this.#obstacle = problem;
      return useStore ? toErrorData(problem) : null;
    }
  }

  /**
   * Of files that are kept, or of files that are not. `onNotice` is a comlink proxy, and told what happens to requests while it
   * happens. @throws LoadError `storage_unavailable` where files should be kept and cannot
   */
  async openSession(
    snapshot: Snapshot,
    access: FetchAccess,
    keep: boolean,
    onNotice: (message: string) => unknown,
  ): Promise<number> {
    const session = keep
      ? await SnapshotSession.open(await this.#getDeps(), snapshot, access)
      : await UncachedSession.open(this.#getUncachedDeps(), await this.#deps, snapshot, access);
    const id = this.#nextSession++;
    this.#sessions.set(id, session);
    this.#listeners.set(id, onNotice);
    return id;
  }

  readAll(sessionId: number, operation: OperationId, path: string): Promise<Uint8Array<ArrayBuffer>> {
    return this.#operations.run(operation, async (signal) =>
      transferBytes(await this.#get(sessionId).readAll(path, signal)),
    );
  }

  readRange(
    sessionId: number,
    operation: OperationId,
    path: string,
    start: number,
    end: number,
  ): Promise<Uint8Array<ArrayBuffer>> {
    return this.#operations.run(operation, async (signal) =>
      transferBytes(await this.#get(sessionId).readRange(path, start, end, signal)),
    );
  }

  waitRange(
    sessionId: number,
    operation: OperationId,
    path: string,
    range: RangeWant,
  ): Promise<Uint8Array<ArrayBuffer> | null> {
    return this.#operations.run(operation, async (signal) => {
      const bytes = await this.#get(sessionId).waitRange(path, range, signal);
      return bytes && transferBytes(bytes);
    });
  }

  async status(sessionId: number, paths: readonly string[]): Promise<readonly FileStatus[]> {
    return this.#get(sessionId).status(paths);
  }

  async foresee(
    sessionId: number,
    paths: readonly string[],
  ): Promise<{ readonly statuses: readonly FileStatus[]; readonly shortage: LoadErrorData | null }> {
    const { statuses, shortage } = await this.#get(sessionId).foresee(paths);
    return { statuses, shortage: shortage && toErrorData(shortage) };
  }

  async receivedBytes(sessionId: number): Promise<number> {
    return this.#get(sessionId).receivedBytes();
  }

  async openBlob(sessionId: number, path: string): Promise<File> {
    return this.#get(sessionId).openBlob(path);
  }

  /** `onProgress` is a comlink proxy: a top-level argument, because nested ones do not clone. */
  download(
    sessionId: number,
    operation: OperationId,
    paths: readonly string[],
    readEnds: ReadEnds | null,
    onProgress: (progress: FetchProgress) => unknown,
  ): Promise<DownloadSummary> {
    return this.#operations.run(operation, (signal) =>
      this.#get(sessionId).download(paths, signal, onProgress, readEnds ?? undefined),
    );
  }

  cancel(operation: OperationId): void {
    this.#operations.cancel(operation);
  }

  async closeSession(sessionId: number): Promise<void> {
    const session = this.#sessions.get(sessionId);
    this.#sessions.delete(sessionId);
    this.#listeners.delete(sessionId);
    await session?.close();
  }

  /** Ends everything; after it the worker can be terminated without loss. */
  async shutDown(): Promise<void> {
    const deps = await this.#deps;
    await Promise.all([...this.#sessions.keys()].map((id) => this.closeSession(id)));
    await this.#sweep;
    deps?.channel.close();
    this.#hashers.dispose();
    this.#deps = null;
  }

  async #open(tuning: FetchTuning): Promise<SessionDeps> {
    const files = await BlobFiles.open();
    const records = new CacheRecords();
    this.#hashers.warmUp();
    // Beside the first work: it touches nothing that is locked, and what it leaves is never served.
    this.#sweep = sweep({ files, records }, this.#converterVersion).then(
      () => undefined,
      () => undefined,
    );
    const budget = new ConnectionBudget(tuning.connections);
    const pool = new ConnectionPool(tuning.connections, () => budget.limit);
    const pauses = new HostPauses({ onPause: (message) => this.#tell(message), onEnd: () => pool.kick() });
    const transferDeps = {
      files,
      records,
      tuning,
      hashers: this.#hashers,
      buffers: this.#buffers,
      budget,
      pool,
      pauses,
      sizer: new RangeSizer(tuning),
      channel: new BlobChannel(),
    };
    return {
      ...transferDeps,
      getTransfer: (snapshot: Snapshot, access: FetchAccess, key: string, file: SnapshotFile): BlobTransfer => {
        const running = this.#transfers.get(key);
        if (running) return running;
        const { modelId, commit } = snapshot;
        const created = new BlobTransfer(transferDeps, { key, file, modelId, commit, ...access }, () => {
          if (this.#transfers.get(key) === created) this.#transfers.delete(key);
        });
        this.#transfers.set(key, created);
        return created;
      },
    };
  }

  /** A listener that fails must not fail what it listens to. */
  #tell(message: string): void {
    for (const listener of this.#listeners.values()) {
      Promise.resolve(message)
        .then(listener)
        .catch(() => undefined);
    }
  }

  async #getDeps(): Promise<SessionDeps> {
    if (this.#obstacle) throw this.#obstacle;
    if (!this.#deps) throw notStarted();
    return this.#deps;
  }

  /** One set of connections for all sessions that keep nothing. */
  #getUncachedDeps(): PassingDeps {
    if (!this.#tuning) throw notStarted();
    this.#hashers.warmUp();
    return (this.#uncachedDeps ??= createPassingDeps(this.#tuning, this.#buffers, this.#hashers, (message) =>
      this.#tell(message),
    ));
  }

  #get(sessionId: number): Session {
    const session = this.#sessions.get(sessionId);
    if (!session) throw new LoadError('disposed', { message: 'The snapshot was closed.' });
    return session;
  }
}

function notStarted(): LoadError {
  return new LoadError('disposed', { message: 'The fetch worker was not started or has ended.' });
}

function transferBytes(bytes: Uint8Array<ArrayBuffer>): Uint8Array<ArrayBuffer> {
  return transfer(bytes, [bytes.buffer]);
}
