/**
 * One load's side of the fetch worker: what `openFetchService` calls over a port.
 *
 * In: plain data and operation ids. Out: plain data, with byte arrays transferred. Guarantees: connections, pauses, buffers and
 * the hash worker are those of all loads of the page; tuning, access, running transfers and failures are this load's own; after
 * `close` nothing of it runs and nothing of it is locked.
 */
import { transfer } from 'comlink';
import { Operations } from '../../base/linked-worker.ts';
import type { DownloadSummary, FetchProgress, FileStatus } from '../../contract/cache.ts';
import { LoadError, toErrorData } from '../../contract/errors.ts';
import type { LoadErrorData } from '../../contract/errors.ts';
import type { Snapshot, SnapshotFile } from '../../contract/snapshot.ts';
import type { OperationId } from '../../contract/worker-api.ts';
import type { CacheStore } from '../../store/catalog-view.ts';
import { toStorageError } from '../../store/storage-error.ts';
import { BlobChannel } from './blob-channel.ts';
import { BlobTransfer } from './blob-transfer.ts';
import { createPassingDeps } from './passing-transfer.ts';
import { RangeSizer } from './range-sizer.ts';
import { openLoadLine } from './shared-line.ts';
import type { LoadLine, SharedLine } from './shared-line.ts';
import { SnapshotSession } from './snapshot-session.ts';
import type { FetchAccess, SessionDeps } from './snapshot-session.ts';
import { DEFAULT_TUNING } from './tuning.ts';
import type { FetchTuning } from './tuning.ts';
import { UncachedSession } from './uncached-session.ts';
import type { ReadEnds } from './uncached-session.ts';
import type { RangeWant } from './want-list.ts';

/** What crosses the boundary. */
export type FetchConnectionApi = Pick<
  FetchConnection,
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
>;

/** What both kinds of session can do. */
type Session = Pick<
  UncachedSession,
  'readAll' | 'readRange' | 'waitRange' | 'status' | 'openBlob' | 'download' | 'receivedBytes' | 'close'
> &
  Pick<SnapshotSession, 'foresee'>;

/** What a connection has of its worker. */
export interface ConnectionParts {
  readonly line: SharedLine;
  /** @throws LoadError `storage_unavailable`, `storage_failed` */
  readonly openStore: () => Promise<CacheStore>;
}

/** See the file's header. */
export class FetchConnection {
  readonly #parts: ConnectionParts;
  readonly #sessions = new Map<number, Session>();
  readonly #listeners = new Map<number, (message: string) => unknown>();
  readonly #operations = new Operations();
  #line: LoadLine | null = null;
  /** Null where this page has no storage, or it is left alone. */
  #deps: SessionDeps | null = null;
  #obstacle: LoadError | null = null;
  #isClosed = false;
  #nextSession = 1;

  constructor(parts: ConnectionParts) {
    this.#parts = parts;
  }

  /**
   * Comes before everything else; opens the store where it is used. Yields `storage_unavailable` where there is none.
   * @throws LoadError `storage_failed`
   */
  async start(tuning: Partial<FetchTuning>, useStore: boolean): Promise<LoadErrorData | null> {
    const { line, openStore } = this.#parts;
    this.#assertOpen();
    this.#line = openLoadLine(line, { ...DEFAULT_TUNING, ...tuning }, (message) => this.#tell(message));
    line.hashers.warmUp();
    if (!useStore) return null;
    try {
      const store = await openStore();
      this.#assertOpen();
      this.#deps = toSessionDeps(this.#line, store);
      return null;
    } catch (error) {
      const problem = toStorageError(error, 'The lock manager');
      if (problem.code !== 'storage_unavailable') throw problem;
      this.#obstacle = problem;
      return toErrorData(problem);
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
      ? await SnapshotSession.open(this.#getDeps(), snapshot, access)
      : await UncachedSession.open(createPassingDeps(this.#getLine()), this.#deps, snapshot, access);
    if (this.#isClosed) {
      await session.close();
      throw closed();
    }
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

  /** Ends everything; resolves when nothing runs and nothing is locked. Whoever made this calls it. */
  async close(): Promise<void> {
    this.#isClosed = true;
    await Promise.all([...this.#sessions.keys()].map((id) => this.closeSession(id)));
    this.#deps?.channel.close();
    this.#line?.pool.close();
  }

  /** A listener that fails must not fail what it listens to. */
  #tell(message: string): void {
    for (const listener of this.#listeners.values()) {
      Promise.resolve(message)
        .then(listener)
        .catch(() => undefined);
    }
  }

  #assertOpen(): void {
    if (this.#isClosed) throw closed();
  }

  #getDeps(): SessionDeps {
    if (this.#obstacle) throw this.#obstacle;
    if (!this.#deps || this.#isClosed) throw closed();
    return this.#deps;
  }

  #getLine(): LoadLine {
    if (!this.#line || this.#isClosed) throw closed();
    return this.#line;
  }

  #get(sessionId: number): Session {
    const session = this.#sessions.get(sessionId);
    if (!session) throw new LoadError('disposed', { message: 'The snapshot was closed.' });
    return session;
  }
}

/** The store, as this load uses it: one transfer a blob, for all that wants bytes of it. */
function toSessionDeps(line: LoadLine, store: CacheStore): SessionDeps {
  const transfers = new Map<string, BlobTransfer>();
  const deps = { ...line, ...store, sizer: new RangeSizer(line.tuning), channel: new BlobChannel() };
  return {
    ...deps,
    getTransfer: (snapshot: Snapshot, access: FetchAccess, key: string, file: SnapshotFile): BlobTransfer => {
      const running = transfers.get(key);
      if (running) return running;
      const { modelId, commit } = snapshot;
      const created = new BlobTransfer(deps, { key, file, modelId, commit, ...access }, () => {
        if (transfers.get(key) === created) transfers.delete(key);
      });
      transfers.set(key, created);
      return created;
    },
  };
}

function closed(): LoadError {
  return new LoadError('disposed', { message: 'This way to the fetch worker was not started or has ended.' });
}

function transferBytes(bytes: Uint8Array<ArrayBuffer>): Uint8Array<ArrayBuffer> {
  return transfer(bytes, [bytes.buffer]);
}
