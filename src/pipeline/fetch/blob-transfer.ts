/**
 * One blob on its way into the cache, for everybody in this worker who wants bytes of it.
 *
 * Wants come in (a range now, the whole file, "tell me when these bytes are there"); the transfer waits for the blob's
 * lock, opens what an earlier attempt left, offers the missing ranges to the connection pool, answers wants as bytes
 * arrive, verifies and records the full blob, and gives everything back as soon as nothing is wanted any more.
 * While another tab holds the lock, its progress is ours, and small ranges are asked of it.
 * Guarantees: at most one tab writes a blob; a want always ends: with its bytes, with an error, or with `aborted`.
 */
import { abortedError, throwIfAborted } from '../../base/abort.ts';
import { isLoadError, LoadError, toErrorData, fromErrorData } from '../../contract/errors.ts';
import type { RestartedFile } from '../../contract/cache.ts';
import type { SnapshotFile } from '../../contract/snapshot.ts';
import type { BlobFiles } from '../../store/blob-files.ts';
import { withBlobLock } from '../../store/blob-lock.ts';
import type { HasherFactory } from '../../store/file-hasher.ts';
import { addInterval, coversInterval, missingIntervals } from '../../store/intervals.ts';
import type { Interval } from '../../store/intervals.ts';
import { PartialBlob } from '../../store/partial-blob.ts';
import type { CacheRecords } from '../../store/records.ts';
import type { BlobChannel } from './blob-channel.ts';
import type { BodyBuffers } from './body-reader.ts';
import type { ConnectionPool, RequestSource } from './connection-pool.ts';
import type { RangeAnswer } from './range-request.ts';
import { transferRange } from './transfer-range.ts';
import type { RangeSink, ServerKnowledge } from './transfer-range.ts';
import type { FetchTuning } from './tuning.ts';

/** What all transfers of a worker share. */
export interface TransferDeps {
  readonly files: BlobFiles;
  readonly records: CacheRecords;
  readonly hashers: HasherFactory;
  readonly pool: ConnectionPool;
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

type WantKind = 'range' | 'whole' | 'wait';

interface Want {
  readonly kind: WantKind;
  readonly start: number;
  readonly end: number;
  readonly resolve: (bytes: Uint8Array<ArrayBuffer>) => void;
  readonly reject: (error: unknown) => void;
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
  readonly #wants = new Set<Want>();
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
    return this.#has('whole');
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
    while (this.#running && !this.#hasActiveWants()) {
      await Promise.race([this.#running, new Promise((resolve) => setTimeout(resolve, SETTLE_POLL_MS))]);
    }
  }

  // --- RequestSource: what the connection pool asks ---

  takeRequest(urgency: 'urgent' | 'bulk'): (() => Promise<void>) | null {
    const partial = this.#partial;
    if (!partial || this.#stopping || this.#streaming || this.#failure || this.#restart) return null;
    if (this.#server.wholeOnly && this.#requests.size > 0) return null;
    const range = this.#chooseRange(partial, urgency === 'urgent' ? 'range' : 'whole');
    if (!range) return null;
    const request: RunningRequest = { ...range, abort: new AbortController(), done: Promise.resolve() };
    this.#requests.add(request);
    return () => (request.done = this.#perform(request));
  }

  // --- the run ---

  async #want(kind: WantKind, start: number, end: number, signal: AbortSignal): Promise<Uint8Array<ArrayBuffer>> {
    throwIfAborted(signal);
    let want: Want | undefined;
    const result = new Promise<Uint8Array<ArrayBuffer>>((resolve, reject) => {
      want = { kind, start, end, resolve, reject };
      this.#wants.add(want);
    });
    const onAbort = (): void => {
      if (want && this.#wants.delete(want)) want.reject(abortedError(signal));
      if (!this.#hasActiveWants()) this.#lockWait?.abort();
      this.#notify();
    };
    signal.addEventListener('abort', onAbort, { once: true });
    if (this.#running) this.#notify();
    else this.#running = this.#run();
    try {
      return await result;
    } finally {
      signal.removeEventListener('abort', onAbort);
    }
  }

  async #run(): Promise<void> {
    const { pool, channel } = this.#deps;
    const { key } = this.#origin;
    while (this.#wants.size > 0) {
      this.#failure = null;
      this.#stopping = false;
      const lockWait = new AbortController();
      const lock = { granted: false };
      this.#lockWait = lockWait;
      const stopAsking = this.#askLeader();
      pool.join(this);
      try {
        await withBlobLock(key, lockWait.signal, () => {
          lock.granted = true;
          stopAsking();
          return this.#lead();
        });
      } catch (error) {
        if (lock.granted || !lockWait.signal.aborted) this.#rejectAll(this.#place(error));
        // Given up because nothing was wanted; but something may be wanted again by now.
        else if (!this.#hasActiveWants()) this.#rejectAll(new LoadError('aborted', { retryable: true }));
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
    this.#serveWants(partial);
    if (!this.#hasActiveWants()) {
      this.#rejectAll(new LoadError('aborted', { retryable: true }));
      return true;
    }
    if (partial.isFull && this.#has('whole')) {
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

  #chooseRange(partial: PartialBlob, kind: WantKind): Interval | null {
    let taken = partial.intervals;
    for (const request of this.#requests) taken = addInterval(taken, request.start, request.end);
    for (const want of this.#wants) {
      if (want.kind !== kind) continue;
      const gap = missingIntervals(taken, want.start, want.end)[0];
      if (gap) return { start: gap.start, end: Math.min(gap.end, gap.start + this.#deps.tuning.rangeBytes) };
    }
    return null;
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
    for (const request of this.#requests) {
      const wanted = [...this.#wants].some(
        (want) => want.kind !== 'wait' && want.start < request.end && request.start < want.end,
      );
      if (!wanted) request.abort.abort();
    }
  }

  #serveWants(partial: PartialBlob): void {
    for (const want of this.#wants) {
      if (want.kind === 'whole' || !coversInterval(partial.intervals, want.start, want.end)) continue;
      this.#wants.delete(want);
      try {
        want.resolve(partial.read(want.start, want.end));
      } catch (error) {
        want.reject(error);
      }
    }
  }

  /** Serves every want from the complete blob, if there is one; a file that does not fit its record is dropped. */
  async #serveFromBlob(): Promise<boolean> {
    const blob = await openVerifiedBlob(this.#deps, this.#origin.key, this.#size);
    if (!blob) return false;
    for (const want of [...this.#wants]) {
      this.#wants.delete(want);
      if (want.kind === 'whole') want.resolve(new Uint8Array());
      else want.resolve(new Uint8Array(await blob.slice(want.start, want.end).arrayBuffer()));
    }
    return true;
  }

  /** While another tab leads: hears its progress and asks it for small ranges. Returns the way to stop. */
  #askLeader(): () => void {
    const { channel } = this.#deps;
    const { key } = this.#origin;
    channel.listen(key, {
      onProgress: (doneBytes) => {
        this.#leaderBytes = doneBytes;
      },
      onNeed: (start, end, reply) => {
        if (!this.#partial || end > this.#size || end - start > MAX_NEED_BYTES) return;
        this.#wants.add({ kind: 'range', start, end, resolve: reply, reject: () => undefined });
        this.#notify();
      },
      onBytes: (start, end, bytes) => {
        for (const want of this.#wants) {
          if (want.kind !== 'range' || want.start !== start || want.end !== end) continue;
          this.#wants.delete(want);
          want.resolve(bytes);
        }
        if (!this.#hasActiveWants()) this.#lockWait?.abort();
      },
    });
    const timer = setInterval(() => {
      for (const want of this.#wants) if (want.kind === 'range') channel.sendNeed(key, want.start, want.end);
    }, ASK_INTERVAL_MS);
    return () => clearInterval(timer);
  }

  #sendProgress(doneBytes: number, force = false): void {
    const nowMs = performance.now();
    if (!force && nowMs - this.#lastSentMs < 200) return;
    this.#lastSentMs = nowMs;
    this.#deps.channel.sendProgress(this.#origin.key, doneBytes);
  }

  #rejectAll(error: LoadError): void {
    for (const want of this.#wants) want.reject(error);
    this.#wants.clear();
  }

  /** Names the file in an error, if nothing has. */
  #place(error: unknown): LoadError {
    const data = toErrorData(error);
    const { path } = this.#origin.file;
    const message = data.message.includes(path) ? data.message : `${data.message} (${path})`;
    return fromErrorData({ ...data, message, stage: 'fetch', detail: { path, ...data.detail } });
  }

  #has(kind: WantKind): boolean {
    return [...this.#wants].some((want) => want.kind === kind);
  }

  #hasActiveWants(): boolean {
    return [...this.#wants].some((want) => want.kind !== 'wait');
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
const ASK_INTERVAL_MS = 100;
const MAX_NEED_BYTES = 16 * 1024 * 1024;
