/**
 * The requests under way for one blob.
 *
 * In: ranges to ask for. Out: bytes in their target (a half-written blob whose lock is held, or one that passes), and events: something arrived, the file is another one than before, a request
 * failed for good. Guarantees: no two connections ask for the same bytes; an answer of another version of the file is not
 * written; nothing is written once `stop` has been called, and nothing runs once it has resolved.
 */
import type { BufferPool } from '../../base/buffer-pool.ts';
import type { RestartedFile } from '../../contract/cache.ts';
import { describeRetry } from '../../base/retry-words.ts';
import { isRateLimited } from '../../base/retry.ts';
import { LoadError } from '../../contract/errors.ts';
import type { SnapshotFile } from '../../contract/snapshot.ts';
import { missingIntervals } from '../../store/intervals.ts';
import type { Interval } from '../../store/intervals.ts';
import type { ConnectionBudget } from './connection-budget.ts';
import type { PoolRequest, PoolShare } from './connection-pool.ts';
import { isOtherVersion, readAnnouncedVersion } from './file-version.ts';
import type { LoadPauses } from './host-pauses.ts';
import type { RangeAnswer } from './range-request.ts';
import type { RangeSizer } from './range-sizer.ts';
import { transferRange } from './transfer-range.ts';
import type { BodyAccount, RangeSink, ServerKnowledge } from './transfer-range.ts';
import type { FetchTuning } from './tuning.ts';

/** What all blobs of a load share. */
export interface RequestDeps {
  readonly pool: PoolShare;
  readonly sizer: RangeSizer;
  readonly budget: ConnectionBudget;
  readonly pauses: LoadPauses;
  readonly buffers: BufferPool;
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

/** Where a blob's bytes go. */
export interface BlobTarget {
  /** What has arrived. */
  readonly intervals: readonly Interval[];
  readonly doneBytes: number;
  /** Identifies the server's version of the file. */
  validator: string | null;
  /** Takes bytes over, with their buffer. */
  write(offset: number, bytes: Uint8Array<ArrayBuffer>): void;
  /** Resolves when what comes behind has kept up: the backpressure. */
  readyForMore(): Promise<void>;
}

/** What the owner of the requests is told. */
export interface RequestEvents {
  /** Body bytes arrived from the network. */
  onNetworkBytes(count: number): void;
  /** Bytes were written, or a request has ended. */
  onChange(): void;
  /** What is on disk is of another version than what arrives: start over. */
  onRestart(reason: RestartedFile['reason']): void;
  /** All attempts of a request are spent. */
  onFailure(error: unknown): void;
  onNotice(message: string): void;
}

interface RunningRequest {
  readonly start: number;
  end: number;
  /** Of the body. */
  leftBytes: number;
  /** When it last brought something; infinite while it is not the network that is waited for. */
  heardMs: number;
  readonly abort: AbortController;
  done: Promise<void>;
}

/** See the file's header; one for each time that the blob is opened. */
export class BlobRequests {
  readonly #deps: RequestDeps;
  readonly #origin: BlobOrigin;
  readonly #target: BlobTarget;
  readonly #server: ServerKnowledge;
  readonly #events: RequestEvents;
  readonly #running = new Set<RunningRequest>();
  #streaming: RunningRequest | null = null;
  #stopping = false;

  /** `server` outlives this object: what is known of the file's server. */
  constructor(
    deps: RequestDeps,
    origin: BlobOrigin,
    target: BlobTarget,
    server: ServerKnowledge,
    events: RequestEvents,
  ) {
    this.#deps = deps;
    this.#origin = origin;
    this.#target = target;
    this.#server = server;
    this.#events = events;
  }

  /** The next request, marked as taken; `findGap` names the bytes, beside what is asked for already. */
  take(findGap: (asked: Iterable<Interval>, maxBytes: number) => Interval | null): PoolRequest | null {
    if (this.#stopping || this.#streaming) return null;
    if (this.#server.wholeOnly && this.#running.size > 0) return null;
    const { sizer, budget, pauses } = this.#deps;
    if (pauses.isPaused(this.#server.directUrl ?? this.#origin.file.url)) return null;
    const range = findGap(this.#running, sizer.next(this.#size - this.#target.doneBytes, budget.limit));
    if (!range) return null;
    const request: RunningRequest = {
      ...range,
      leftBytes: range.end - range.start,
      heardMs: performance.now(),
      abort: new AbortController(),
      done: Promise.resolve(),
    };
    this.#running.add(request);
    return (onEnding) => (request.done = this.#perform(request, onEnding));
  }

  abortUnwanted(isNeeded: (range: Interval) => boolean): void {
    for (const request of this.#running) if (!isNeeded(request)) request.abort.abort();
  }

  /** Ends all requests; none begins until `resume`. */
  async stop(): Promise<void> {
    this.#stopping = true;
    const running = [...this.#running];
    for (const request of running) request.abort.abort();
    await Promise.all(running.map((request) => request.done));
  }

  resume(): void {
    this.#stopping = false;
  }

  async #perform(request: RunningRequest, onEnding: () => void): Promise<void> {
    const { file, endpoint, token, modelId, commit } = this.#origin;
    const { tuning, buffers, sizer } = this.#deps;
    const sink: RangeSink = {
      buffers,
      server: this.#server,
      nextMissing: (position) => missingIntervals(this.#target.intervals, position, this.#size)[0]?.start ?? this.#size,
      accept: (answer) => this.#accept(answer) && (!answer.whole || this.#beginStream(request)),
      write: (offset, bytes) => {
        request.heardMs = Infinity;
        return this.#write(offset, bytes).finally(() => (request.heardMs = performance.now()));
      },
      openAccount: () => this.#openAccount(request, onEnding),
    };
    const startMs = performance.now();
    // One that hangs, or waits before it asks again, holds up nobody else.
    const watch = setInterval(() => {
      if (performance.now() - request.heardMs > tuning.quietMs) onEnding();
    }, tuning.quietMs);
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
        onRetry: (failure) => this.#heedLimit(failure),
      });
      sizer.report(request.end - request.start, performance.now() - startMs);
    } catch (error) {
      if (!request.abort.signal.aborted && !this.#stopping) this.#events.onFailure(error);
    } finally {
      clearInterval(watch);
      this.#running.delete(request);
      if (this.#streaming === request) this.#streaming = null;
      this.#events.onChange();
    }
  }

  /** Whoever was refused waits by itself; what is not asked yet waits with it. */
  #heedLimit(failure: { readonly error: unknown; readonly delayMs: number }): void {
    const { error, delayMs } = failure;
    if (!isRateLimited(error)) return;
    const { origin } = error.detail;
    if (typeof origin === 'string') this.#deps.pauses.pause(origin, delayMs, describeRetry(failure));
  }

  /** Whether an answer is of the version of the file that we have begun, and of the one that was looked up. */
  #accept(answer: RangeAnswer): boolean {
    if (this.#stopping) return false;
    const { file } = this.#origin;
    const announced = readAnnouncedVersion(file);
    if (announced !== null && isOtherVersion(announced, answer)) {
      // Bytes of this version belong to another blob, which only looking up again can name.
      this.#events.onFailure(
        new LoadError('file_changed', {
          message: `${file.path} has changed on the server since it was looked up. Load again to take it as it is now.`,
          retryable: true,
          detail: { path: file.path, announced, etag: answer.etag, lastModified: answer.lastModified },
        }),
      );
      return false;
    }
    const validator = answer.strongEtag === null ? null : `${answer.address} ${answer.strongEtag}`;
    if (validator === null) return true;
    const known = this.#target.validator;
    // Another mirror or host has validators of its own; there the hash decides.
    if (known !== null && known !== validator && known.startsWith(`${answer.address} `)) {
      this.#events.onRestart('file_changed');
      return false;
    }
    this.#target.validator = validator;
    return true;
  }

  async #write(offset: number, bytes: Uint8Array<ArrayBuffer>): Promise<number> {
    const target = this.#target;
    if (this.#stopping) throw new LoadError('aborted', { retryable: true });
    const gaps = missingIntervals(target.intervals, offset, offset + bytes.byteLength);
    const newBytes = gaps.reduce((sum, gap) => sum + gap.end - gap.start, 0);
    if (newBytes === bytes.byteLength) target.write(offset, bytes);
    else {
      // Written bytes are given away with their buffer, so that each gap needs one of its own.
      for (const gap of gaps) target.write(gap.start, bytes.slice(gap.start - offset, gap.end - offset));
      this.#deps.buffers.give(bytes.buffer);
    }
    if (newBytes > 0) {
      this.#events.onChange();
      await target.readyForMore();
    }
    return newBytes;
  }

  #openAccount(request: RunningRequest, onEnding: () => void): BodyAccount {
    const { budget, pool } = this.#deps;
    budget.begin();
    return {
      add: (turn) => {
        this.#events.onNetworkBytes(turn.sizeBytes);
        request.leftBytes -= turn.sizeBytes;
        request.heardMs = performance.now();
        if (request.leftBytes <= Math.min(ENDING_BYTES, (request.end - request.start) / 4)) onEnding();
        if (budget.report(turn, performance.now())) pool.kick();
      },
      close: () => budget.end(),
    };
  }

  /** A whole body is on its way: one is enough, and the other connections serve other files meanwhile. */
  #beginStream(request: RunningRequest): boolean {
    if (this.#streaming && this.#streaming !== request) return false;
    if (!this.#streaming && this.#size > this.#deps.tuning.rangeBytes) {
      this.#events.onNotice(`The server gave ${this.#origin.file.path} as a whole, not in ranges.`);
    }
    this.#streaming = request;
    request.end = this.#size;
    request.leftBytes = this.#size;
    for (const other of this.#running) if (other !== request) other.abort.abort();
    return true;
  }

  get #size(): number {
    return this.#origin.file.sizeBytes;
  }
}

/** With less of a body left (and less than a quarter), the next request is sent. */
const ENDING_BYTES = 1024 * 1024;
