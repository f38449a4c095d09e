/**
 * Stage 4 (fetch), the model worker's side: a typed client of the fetch worker.
 *
 * In: the page's door to the fetch worker, which all its loads share. Out: {@link FetchService}. Guarantees: errors arrive as
 * LoadErrors with all their fields; a signal that fires ends the call with `aborted`; a worker that dies rejects all that
 * was waiting with `worker_died`; after `dispose` nothing of this load is locked and nothing of it runs.
 */
import * as Comlink from 'comlink';
import { cleanUpAfter } from '../../base/clean-up.ts';
import { WorkerLink } from '../../base/worker-link.ts';
import type { DownloadSummary, FetchProgress, FileStatus } from '../../contract/cache.ts';
import { fromErrorData, LoadError } from '../../contract/errors.ts';
import type { LoadErrorData } from '../../contract/errors.ts';
import type { Snapshot } from '../../contract/snapshot.ts';
import type { FetchDoor } from '../../contract/worker-api.ts';
import { BlobFiles } from '../../store/blob-files.ts';
import { toBlobKey } from '../../store/journal.ts';
import { readSlices } from '../../store/readable-file.ts';
import type { ReadableFile } from '../../store/readable-file.ts';
import type { DownloadOutlook } from './download.ts';
import type { FetchConnectionApi } from './fetch-connection.ts';
import type { FetchAccess } from './snapshot-session.ts';
import type { FetchTuning } from './tuning.ts';
import type { ReadEnds } from './uncached-session.ts';
import type { RangeWant } from './want-list.ts';

/** Options of a call that may be cancelled. */
export interface CallOptions {
  readonly signal?: AbortSignal | undefined;
}

/** Options of a download. */
export interface DownloadOptions extends CallOptions {
  readonly onProgress?: ((progress: FetchProgress) => void) | undefined;
  /**
   * Which files are read with `waitRange` while they come, each from its start to its end, and where the last read of each ends.
   * Files that are kept nowhere wait for these reads; the cache does not need to know.
   */
  readonly readEnds?: ReadEnds | undefined;
}

/** One snapshot's files. Paths are those of the snapshot; ranges are half-open. */
export interface SnapshotFiles {
  /** A whole small file, verified. */
  readAll(path: string, options?: CallOptions): Promise<Uint8Array<ArrayBuffer>>;
  /** Bytes of a file; exactly these are fetched, and kept, where the cache lacks them. */
  readRange(path: string, start: number, end: number, options?: CallOptions): Promise<Uint8Array<ArrayBuffer>>;
  /**
   * Bytes of a file as soon as the running download has them on disk; without one, like `readRange`. Null: the file is
   * complete, and best read by `openBlob`. See {@link DownloadSummary.restarted} for when they were void.
   */
  waitRange(path: string, range: RangeWant, options?: CallOptions): Promise<Uint8Array<ArrayBuffer> | null>;
  status(paths: readonly string[]): Promise<readonly FileStatus[]>;
  /** What a download of these files would find. */
  foresee(paths: readonly string[]): Promise<DownloadOutlook>;
  /**
   * All bytes of these files: into the cache, verified and recorded; where nothing is kept, past whoever reads them, verified at
   * their end.
   */
  download(paths: readonly string[], options?: DownloadOptions): Promise<DownloadSummary>;
  /** Body bytes of these files that the network has brought since they were opened, headers and small files included. */
  receivedBytes(): Promise<number>;
  /** A complete, verified file, open for reading in this worker: close it. @throws LoadError `not_cached` */
  openBlob(path: string): Promise<ReadableFile>;
  /** Ends everything of this snapshot; resolves when nothing runs and nothing is locked. */
  close(): Promise<void>;
}

/** The fetch worker, as the pipeline uses it. */
export interface FetchService {
  /** Why there is no cache: `storage_unavailable`. Null where there is one, or none was asked for. */
  readonly obstacle: LoadError | null;
  /** `onNotice` is told why requests wait, and until when. @throws LoadError `storage_unavailable` */
  openSnapshot(snapshot: Snapshot, access: FetchAccess, onNotice?: (message: string) => void): Promise<SnapshotFiles>;
  /**
   * Files of which nothing is kept beyond what is in memory for a moment. What the cache holds whole is read there, if it is used.
   */
  openUncached(snapshot: Snapshot, access: FetchAccess, onNotice?: (message: string) => void): Promise<SnapshotFiles>;
  dispose(): Promise<void>;
}

/** How the service starts. */
export interface FetchServiceOptions {
  readonly tuning?: Partial<FetchTuning> | undefined;
  /** False leaves this page's storage alone. Default true. */
  readonly useStore?: boolean | undefined;
}

/**
 * Opens a way to the fetch worker, of one load.
 * @throws LoadError `worker_died`, `blocked_by_policy`, `storage_failed`
 */
export async function openFetchService(door: FetchDoor, options: FetchServiceOptions = {}): Promise<FetchService> {
  const { tuning = {}, useStore = true } = options;
  const { link, close } = await connect(door);
  let obstacle: LoadErrorData | null;
  try {
    obstacle = await link.call((api) => api.start(tuning, useStore));
  } catch (error) {
    throw await cleanUpAfter(error, close);
  }
  const open = async (
    snapshot: Snapshot,
    access: FetchAccess,
    keep: boolean,
    onNotice: ((message: string) => void) | undefined,
  ): Promise<SnapshotFiles> => {
    const listener = Comlink.proxy((message: string) => onNotice?.(message));
    const sessionId = await link.call((api) => api.openSession(snapshot, access, keep, listener));
    return toSnapshotFiles(link, sessionId, snapshot);
  };
  return {
    obstacle: obstacle && fromErrorData(obstacle),
    openSnapshot: (snapshot, access, onNotice) => open(snapshot, access, true, onNotice),
    openUncached: (snapshot, access, onNotice) => open(snapshot, access, false, onNotice),
    dispose: close,
  };
}

async function connect(
  door: FetchDoor,
): Promise<{ readonly link: WorkerLink<FetchConnectionApi>; readonly close: () => Promise<void> }> {
  // The news of the worker's death has a port of its own, and may come before the answer.
  const death: { link: WorkerLink<FetchConnectionApi> | null; error: LoadError | null } = { link: null, error: null };
  const onEnd = (data: LoadErrorData): void => {
    death.error = fromErrorData(data);
    death.link?.end(death.error);
  };
  const { connection, port } = await door.open(Comlink.proxy(onEnd));
  const link = WorkerLink.overPort<FetchConnectionApi>(port);
  death.link = link;
  if (death.error) link.end(death.error);
  return {
    link,
    close: async () => {
      try {
        await door.close(connection);
      } finally {
        link.end(new LoadError('disposed', { message: 'The fetch service was disposed.' }));
      }
    },
  };
}

function toSnapshotFiles(link: WorkerLink<FetchConnectionApi>, sessionId: number, snapshot: Snapshot): SnapshotFiles {
  return {
    readAll: (path, options) => link.call((api, id) => api.readAll(sessionId, id, path), options?.signal),
    readRange: (path, start, end, options) =>
      link.call((api, id) => api.readRange(sessionId, id, path, start, end), options?.signal),
    waitRange: (path, range, options) =>
      link.call(
        (api, id) => api.waitRange(sessionId, id, path, range.memory ? Comlink.transfer(range, [range.memory]) : range),
        options?.signal,
      ),
    status: (paths) => link.call((api) => api.status(sessionId, paths)),
    foresee: async (paths) => {
      const { statuses, shortage } = await link.call((api) => api.foresee(sessionId, paths));
      return { statuses, shortage: shortage && fromErrorData(shortage) };
    },
    receivedBytes: () => link.call((api) => api.receivedBytes(sessionId)),
    openBlob: async (path) => {
      const blob = await link.call((api) => api.openBlob(sessionId, path)); // who knows what is complete
      const file = snapshot.files.find((one) => one.path === path);
      const opened = file && (await (await BlobFiles.open()).openBlob(await toBlobKey(file)));
      return opened ?? readSlices(blob);
    },
    download: (paths, options) => {
      const onProgress = Comlink.proxy((progress: FetchProgress) => options?.onProgress?.(progress));
      return link.call(
        (api, id) => api.download(sessionId, id, paths, options?.readEnds ?? null, onProgress),
        options?.signal,
      );
    },
    close: () => link.call((api) => api.closeSession(sessionId)),
  };
}
