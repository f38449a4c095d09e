/**
 * One blob on its way into the cache, for everybody in this worker who wants bytes of it.
 *
 * Wants come in (a range now, the whole file, "tell me when these bytes are there"); the transfer waits for the blob's
 * lock, opens what an earlier attempt left, offers the missing ranges to the connection pool, answers wants as bytes
 * arrive, verifies and records the full blob, and gives everything back as soon as nothing is wanted any more.
 * While another tab holds the lock, its progress is ours, and small ranges are asked of it.
 * Guarantees: at most one tab writes a blob; a want always ends: with its bytes, with an error, or with `aborted`.
 */
import { isLoadError, LoadError, toErrorData, fromErrorData } from '../../contract/errors.ts';
import type { RestartedFile } from '../../contract/cache.ts';
import type { SnapshotFile } from '../../contract/snapshot.ts';
import type { BlobFiles } from '../../store/blob-files.ts';
import { withBlobLock } from '../../store/blob-lock.ts';
import type { HasherFactory } from '../../store/file-hasher.ts';
import { coversInterval, missingIntervals } from '../../store/intervals.ts';
import { PartialBlob } from '../../store/partial-blob.ts';
import type { CacheRecords } from '../../store/records.ts';
import type { BlobChannel } from './blob-channel.ts';
import type { BodyBuffers } from './body-reader.ts';
import type { ConnectionPool, RequestSource } from './connection-pool.ts';
import { openLeaderLink } from './leader-link.ts';
import type { RangeSizer } from './range-sizer.ts';
import type { RangeAnswer } from './range-request.ts';
import { transferRange } from './transfer-range.ts';
import type { RangeSink, ServerKnowledge } from './transfer-range.ts';
import type { FetchTuning } from './tuning.ts';
import { WantList } from './want-list.ts';
import type { WantKind } from './want-list.ts';

/** What all transfers of a worker share. */
export interface TransferDeps {
  readonly files: BlobFiles;
  readonly records: CacheRecords;
  readonly hashers: HasherFactory;
  readonly pool: ConnectionPool;
  readonly sizer: RangeSizer;
  readonly buffers: BodyBuffers;
  readonly channel: BlobChannel;
  readonly tuning: FetchTuning;
}

/** Where a blob's bytes come from. */
export interface BlobOrigin {
  readonly key: string;
  readonly file: SnapshotFile;
  readonly endpoint: string;
  readonly token: string | null;
  readonly modelId: string;
  readonly commit: string;
}

interface RunningRequest {
  readonly start: number;
  end: number;
  readonly abort: AbortController;
  done: Promise<void>;
}

/** See the file's header. */
export class BlobTransfer implements RequestSource {
  /** Body bytes that this worker received for this blob. */
  networkBytes = 0;
  readonly restarts: RestartedFile['reason'][] = [];
  readonly notices: string[] = [];

  readonly #server: ServerKnowledge = { directUrl: null, rangesWork: false, wholeOnly: false };
  readonly #deps: TransferDeps;
  readonly #origin: BlobOrigin;
  readonly #onIdle: () => void;
  readonly #wants = new WantList();
  readonly #requests = new Set<RunningRequest>();
  #running: Promise<void> | null = null;
  #lockWait: AbortController | null = null;
  #partial: PartialBlob | null = null;
  #stopping = false;
  #streaming: RunningRequest | null = null;
  #failure: LoadError | null = null;
  #restart: RestartedFile['reason'] | null = null;
  #leaderBytes = 0;
  #wake: (() => void) | null = null;
  #lastSentMs = 0;

  constructor(deps: TransferDeps, origin: BlobOrigin, onIdle: () => void) {
    this.#deps = deps;
    this.#origin = origin;
    this.#onIdle = onIdle;
  }

  /** Bytes on disk, here or as far as the leading tab has told. */
  get doneBytes(): number {
    return this.#partial?.doneBytes ?? this.#leaderBytes;
  }

  /** Whether a download of the whole blob is under way, so that waiting for a range of it makes sense. */
  get wantsWhole(): boolean {
    return this.#wants.has('whole');
  }

  /** The bytes of a range, fetched first if need be. */
  fetchRange(start: number, end: number, signal: AbortSignal): Promise<Uint8Array<ArrayBuffer>> {
    return this.#want('range', start, end, signal);
  }

  /** The bytes of a range as soon as the running download has brought them. */
  waitRange(start: number, end: number, signal: AbortSignal): Promise<Uint8Array<ArrayBuffer>> {
    return this.#want('wait', start, end, signal);
  }

  /** Resolves when the blob is complete, verified and recorded. */
  async fetchWhole(signal: AbortSignal): Promise<void> {
    await this.#want('whole', 0, this.#size, signal);
  }

  /** Resolves when nothing runs and no lock or handle is held, or when somebody else wants this blob and it goes on. */
  async settled(): Promise<void> {
    while (this.#running && !this.#wants.hasActive) {
      await Promise.race([this.#running, new Promise((resolve) => setTimeout(resolve, SETTLE_POLL_MS))]);
    }
  }

  // --- RequestSource: what the connection pool asks ---

  takeRequest(urgency: 'urgent' | 'bulk'): (() => Promise<void>) | null {
    const partial = this.#partial;
    if (!partial || this.#stopping || this.#streaming || this.#failure || this.#restart) return null;
    if (this.#server.wholeOnly && this.#requests.size > 0) return null;
    const kind = urgency === 'urgent' ? 'range' : 'whole';
    const sizeBytes = this.#deps.sizer.next(this.#size - partial.doneBytes);
    const range = this.#wants.findGap(kind, partial.intervals, this.#requests, sizeBytes);
    if (!range) return null;
    const request: RunningRequest = { ...range, abort: new AbortController(), done: Promise.resolve() };
    this.#requests.add(request);
    return () => (request.done = this.#perform(request));
  }

  // --- the run ---

  #want(kind: WantKind, start: number, end: number, signal: AbortSignal): Promise<Uint8Array<ArrayBuffer>> {
    return this.#wants.want({ kind, start, end }, signal, (what) => {
      if (what === 'aborted' && !this.#wants.hasActive) this.#lockWait?.abort();
      if (what === 'added' && !this.#running) this.#running = this.#run();
      else this.#notify();
    });
  }

  async #run(): Promise<void> {
    const { pool, channel } = this.#deps;
    const { key } = this.#origin;
    while (!this.#wants.isEmpty) {
      this.#failure = null;
      this.#stopping = false;
      const lockWait = new AbortController();
      const lock = { granted: false };
      this.#lockWait = lockWait;
      const stopAsking = openLeaderLink({
        channel,
        key,
        sizeBytes: this.#size,
        wants: this.#wants,
        isLeading: () => this.#partial !== null,
        onProgress: (doneBytes) => (this.#leaderBytes = doneBytes),
        onChange: () => {
          if (!this.#partial && !this.#wants.hasActive) this.#lockWait?.abort();
          this.#notify();
        },
      });
      pool.join(this);
      try {
        await withBlobLock(key, lockWait.signal, () => {
          lock.granted = true;
          stopAsking();
          return this.#lead();
        });
      } catch (error) {
        if (lock.granted || !lockWait.signal.aborted) this.#wants.rejectAll(this.#place(error));
        // Given up because nothing was wanted; but something may be wanted again by now.
        else if (!this.#wants.hasActive) this.#wants.rejectAll(new LoadError('aborted', { retryable: true }));
      } finally {
        stopAsking();
        pool.leave(this);
        channel.unlisten(key);
        this.#lockWait = null;
      }
    }
    this.#running = null;
    this.#onIdle();
  }

  /** Under the lock: from what is on disk to what is wanted. */
  async #lead(): Promise<void> {
    const { files, records, hashers, tuning, buffers } = this.#deps;
    const { key, file } = this.#origin;
    if (await this.#serveFromBlob()) return;
    this.#partial = await PartialBlob.open({
      files,
      records,
      hashers,
      buffers: buffers.pieces,
      key,
      sizeBytes: file.sizeBytes,
      hash: file.hash,
      checkpointBytes: tuning.checkpointBytes,
    });
    try {
      while (!(await this.#step(this.#partial)));
    } finally {
      await this.#stopRequests();
      const partial = this.#partial;
      this.#partial = null;
      this.#leaderBytes = partial.doneBytes;
      await partial.close();
    }
    await this.#serveFromBlob();
  }

  /** One turn of the loop under the lock; true when there is nothing left to do. */
  async #step(partial: PartialBlob): Promise<boolean> {
    if (this.#restart) await this.#startOver(partial, this.#restart);
    if (this.#failure) throw this.#failure;
    this.#wants.serve(({ kind, start, end }) =>
      kind !== 'whole' && coversInterval(partial.intervals, start, end) ? partial.read(start, end) : null,
    );
    if (!this.#wants.hasActive) {
      this.#wants.rejectAll(new LoadError('aborted', { retryable: true }));
      return true;
    }
    if (partial.isFull && this.#wants.has('whole')) {
      await this.#stopRequests();
      try {
        await partial.finish();
        this.#sendProgress(this.#size, true);
        return true;
      } catch (error) {
        if (!isLoadError(error) || error.code !== 'integrity_mismatch') throw error;
        if (this.restarts.includes('integrity_mismatch')) {
          await partial.discard();
          throw error;
        }
        this.#restart = 'integrity_mismatch';
        return false;
      }
    }
    this.#abortUnwanted();
    const changed = new Promise<void>((resolve) => (this.#wake = resolve));
    this.#deps.pool.kick();
    await changed;
    return false;
  }

  async #startOver(partial: PartialBlob, reason: RestartedFile['reason']): Promise<void> {
    const { path } = this.#origin.file;
    await this.#stopRequests();
    this.#restart = null;
    if (this.restarts.includes(reason)) {
      await partial.discard();
      throw new LoadError(reason, { message: `${path} changed again while it was fetched anew.`, retryable: true });
    }
    this.restarts.push(reason);
    this.notices.push(
      reason === 'file_changed'
        ? `${path} changed on the server during its download, so it was started over.`
        : `${path} arrived damaged, so it was dropped and fetched again.`,
    );
    this.#server.directUrl = null;
    await partial.reset();
    this.#stopping = false;
    this.#failure = null;
  }

  async #perform(request: RunningRequest): Promise<void> {
    const { file, endpoint, token, modelId, commit } = this.#origin;
    const { tuning, buffers } = this.#deps;
    const sink: RangeSink = {
      buffers,
      server: this.#server,
      nextMissing: (position) => this.#nextMissing(position),
      accept: (answer) => this.#accept(answer) && (!answer.whole || this.#beginStream(request)),
      write: (offset, bytes) => this.#write(offset, bytes),
      addNetworkBytes: (count) => {
        this.networkBytes += count;
      },
    };
    const startMs = performance.now();
    try {
      await transferRange({
        request: {
          url: file.url,
          sizeBytes: file.sizeBytes,
          endpoint,
          token,
          modelId,
          commit,
          path: file.path,
          hasHash: file.hash !== null,
        },
        start: request.start,
        end: request.end,
        sink,
        tuning,
        signal: request.abort.signal,
      });
      this.#deps.sizer.report(request.end - request.start, performance.now() - startMs);
    } catch (error) {
      if (!request.abort.signal.aborted && !this.#restart && !this.#stopping) this.#failure ??= this.#place(error);
    } finally {
      this.#requests.delete(request);
      if (this.#streaming === request) this.#streaming = null;
      this.#notify();
    }
  }

  #nextMissing(position: number): number {
    const partial = this.#partial;
    if (!partial) return this.#size;
    return missingIntervals(partial.intervals, position, this.#size)[0]?.start ?? this.#size;
  }

  /** Whether an answer is of the version of the file that we have begun. */
  #accept(answer: RangeAnswer): boolean {
    const partial = this.#partial;
    if (!partial || this.#stopping) return false;
    const validator = answer.etag === null ? null : `${answer.address} ${answer.etag}`;
    if (validator !== null) {
      const known = partial.validator;
      // Another mirror or host has validators of its own; there the hash decides.
      if (known !== null && known !== validator && known.startsWith(`${answer.address} `)) {
        this.#restartFor('file_changed');
        return false;
      }
      partial.validator = validator;
    }
    return true;
  }

  async #write(offset: number, bytes: Uint8Array<ArrayBuffer>): Promise<number> {
    const partial = this.#partial;
    if (!partial || this.#stopping) throw new LoadError('aborted', { retryable: true });
    const gaps = missingIntervals(partial.intervals, offset, offset + bytes.byteLength);
    const newBytes = gaps.reduce((sum, gap) => sum + gap.end - gap.start, 0);
    if (newBytes === bytes.byteLength) partial.write(offset, bytes);
    else {
      // Written bytes are given away with their buffer, so that each gap needs one of its own.
      for (const gap of gaps) partial.write(gap.start, bytes.slice(gap.start - offset, gap.end - offset));
      this.#deps.buffers.pieces.give(bytes.buffer);
    }
    if (newBytes > 0) {
      this.#sendProgress(partial.doneBytes);
      this.#notify();
      await partial.hashKeepsUp();
      await partial.checkpointIfDue();
    }
    return newBytes;
  }

  /** A whole body is on its way: one is enough, and the other connections serve other files meanwhile. */
  #beginStream(request: RunningRequest): boolean {
    if (this.#streaming && this.#streaming !== request) return false;
    if (!this.#streaming && this.#size > this.#deps.tuning.rangeBytes) {
      this.notices.push(`The server gave ${this.#origin.file.path} as a whole, not in ranges.`);
    }
    this.#streaming = request;
    request.end = this.#size;
    for (const other of this.#requests) if (other !== request) other.abort.abort();
    return true;
  }

  #restartFor(reason: RestartedFile['reason']): void {
    this.#restart = reason;
    this.#notify();
  }

  async #stopRequests(): Promise<void> {
    this.#stopping = true;
    const running = [...this.#requests];
    for (const request of running) request.abort.abort();
    await Promise.all(running.map((request) => request.done));
  }

  #abortUnwanted(): void {
    for (const request of this.#requests) if (!this.#wants.needs(request)) request.abort.abort();
  }

  /** Serves every want from the complete blob, if there is one; a file that does not fit its record is dropped. */
  async #serveFromBlob(): Promise<boolean> {
    const blob = await openVerifiedBlob(this.#deps, this.#origin.key, this.#size);
    if (!blob) return false;
    await this.#wants.serveFromBlob(blob);
    return true;
  }

  #sendProgress(doneBytes: number, force = false): void {
    const nowMs = performance.now();
    if (!force && nowMs - this.#lastSentMs < 200) return;
    this.#lastSentMs = nowMs;
    this.#deps.channel.sendProgress(this.#origin.key, doneBytes);
  }

  /** Names the file in an error, if nothing has. */
  #place(error: unknown): LoadError {
    const data = toErrorData(error);
    const { path } = this.#origin.file;
    const message = data.message.includes(path) ? data.message : `${data.message} (${path})`;
    return fromErrorData({ ...data, message, stage: 'fetch', detail: { path, ...data.detail } });
  }

  #notify(): void {
    this.#wake?.();
    this.#wake = null;
  }

  get #size(): number {
    return this.#origin.file.sizeBytes;
  }
}

/** The file of a blob that has a record; a record without its bytes is deleted. Null: not in the cache. */
export async function openVerifiedBlob(
  deps: Pick<TransferDeps, 'files' | 'records'>,
  key: string,
  sizeBytes: number,
): Promise<File | null> {
  const record = await deps.records.getBlob(key);
  if (!record) return null;
  const file = await deps.files.getBlob(key);
  if (file?.size === sizeBytes && record.sizeBytes === sizeBytes) return file;
  await deps.records.change([{ kind: 'blob', key, value: null }]);
  return null;
}

const SETTLE_POLL_MS = 20;
