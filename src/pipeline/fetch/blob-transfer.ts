/**
 * One blob on its way into the cache, for everything in one load that wants bytes of it. (Another load that wants the same blob stands
 * to this one as another tab does.)
 *
 * Wants come in (a range now, the whole file, "tell me when these bytes are there"); the transfer waits for the blob's
 * lock, opens what an earlier attempt left, offers the missing ranges to the connection pool (blob-requests.ts performs them),
 * answers wants as bytes arrive, verifies and records the full blob, and gives everything back as soon as nothing is wanted any more.
 * While another tab holds the lock, its progress is ours, and small ranges are asked of it.
 * Guarantees: at most one tab writes a blob; a want always ends: with its bytes, with an error, or with `aborted`.
 */
import { cleanUpAfter, runThenCleanUp } from '../../base/clean-up.ts';
import { isLoadError, LoadError } from '../../contract/errors.ts';
import type { RestartedFile } from '../../contract/cache.ts';
import type { BlobFiles } from '../../store/blob-files.ts';
import { withBlobLock } from '../../store/blob-lock.ts';
import type { HasherFactory } from '../../store/file-hasher.ts';
import { coversInterval } from '../../store/intervals.ts';
import { PartialBlob } from '../../store/partial-blob.ts';
import type { CacheRecords } from '../../store/records.ts';
import type { BlobChannel } from './blob-channel.ts';
import { BlobRequests } from './blob-requests.ts';
import type { BlobOrigin, RequestDeps } from './blob-requests.ts';
import type { PoolRequest, RequestSource } from './connection-pool.ts';
import { openLeaderLink } from './leader-link.ts';
import { nameFile } from './name-file.ts';
import type { ServerKnowledge } from './transfer-range.ts';
import { WantList } from './want-list.ts';
import type { RangeWant, Want } from './want-list.ts';

/** What all transfers of a load share. */
export interface TransferDeps extends RequestDeps {
  readonly files: BlobFiles;
  readonly records: CacheRecords;
  readonly hashers: HasherFactory;
  readonly channel: BlobChannel;
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
  #running: Promise<void> | null = null;
  #lockWait: AbortController | null = null;
  /** While we hold the lock. */
  #partial: PartialBlob | null = null;
  #requests: BlobRequests | null = null;
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

  /** The bytes of a range, fetched first if need be. Null: the blob is complete. */
  fetchRange(range: RangeWant, signal: AbortSignal): Promise<Uint8Array<ArrayBuffer> | null> {
    return this.#want({ ...range, kind: 'range' }, signal);
  }

  /** The bytes of a range as soon as the running download has brought them. Null: the blob is complete. */
  waitRange(range: RangeWant, signal: AbortSignal): Promise<Uint8Array<ArrayBuffer> | null> {
    return this.#want({ ...range, kind: 'wait' }, signal);
  }

  /** Resolves when the blob is complete, verified and recorded. */
  async fetchWhole(signal: AbortSignal): Promise<void> {
    await this.#want({ kind: 'whole', start: 0, end: this.#size }, signal);
  }

  /** Resolves when nothing runs and no lock or handle is held, or when somebody else wants this blob and it goes on. */
  async settled(): Promise<void> {
    while (this.#running && !this.#wants.hasActive) {
      await Promise.race([this.#running, new Promise((resolve) => setTimeout(resolve, SETTLE_POLL_MS))]);
    }
  }

  // --- RequestSource: what the connection pool asks ---

  takeRequest(urgency: 'urgent' | 'bulk'): PoolRequest | null {
    const partial = this.#partial;
    if (!partial || this.#failure || this.#restart) return null;
    const kind = urgency === 'urgent' ? 'range' : 'whole';
    return (
      this.#requests?.take((asked, maxBytes) => this.#wants.findGap(kind, partial.intervals, asked, maxBytes)) ?? null
    );
  }

  // --- the run ---

  #want(want: RangeWant & Pick<Want, 'kind'>, signal: AbortSignal): Promise<Uint8Array<ArrayBuffer> | null> {
    return this.#wants.want(want, signal, (what) => {
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
        if (lock.granted || !lockWait.signal.aborted) this.#wants.rejectAll(nameFile(error, this.#origin.file.path));
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
    const { files, records, hashers, buffers, sizer, budget } = this.#deps;
    const { key, file } = this.#origin;
    if (await this.#isComplete()) {
      this.#wants.resolveAll();
      return;
    }
    const partial = await PartialBlob.open({
      files,
      records,
      hashers,
      buffers,
      key,
      sizeBytes: file.sizeBytes,
      hash: file.hash,
      getLossBytes: () => sizer.openBytes(budget.limit),
    });
    const requests = this.#openRequests(partial);
    this.#partial = partial;
    this.#requests = requests;
    const run = async (): Promise<void> => {
      while (!(await this.#step(partial, requests)));
    };
    await runThenCleanUp(run, async () => {
      await requests.stop();
      this.#requests = null;
      this.#partial = null;
      this.#leaderBytes = partial.doneBytes;
      // What has another version on the server by now is of no use to anybody.
      if (this.#failure?.code === 'file_changed') await partial.discard().catch(() => undefined);
      await partial.close();
    });
    if (await this.#isComplete()) this.#wants.resolveAll();
  }

  #openRequests(partial: PartialBlob): BlobRequests {
    return new BlobRequests(this.#deps, this.#origin, partial, this.#server, {
      onNetworkBytes: (count) => (this.networkBytes += count),
      onChange: () => {
        this.#sendProgress(partial.doneBytes);
        this.#notify();
      },
      onRestart: (reason) => {
        this.#restart = reason;
        this.#notify();
      },
      onFailure: (error) => {
        if (!this.#restart) this.#failure ??= nameFile(error, this.#origin.file.path);
      },
      onNotice: (message) => this.notices.push(message),
    });
  }

  /** One turn of the loop under the lock; true when there is nothing left to do. */
  async #step(partial: PartialBlob, requests: BlobRequests): Promise<boolean> {
    if (this.#restart) await this.#startOver(partial, requests, this.#restart);
    if (this.#failure) throw this.#failure;
    this.#wants.serve(({ kind, start, end, memory }) =>
      kind !== 'whole' && coversInterval(partial.intervals, start, end) ? partial.read(start, end, memory) : null,
    );
    if (!this.#wants.hasActive) {
      this.#wants.rejectAll(new LoadError('aborted', { retryable: true }));
      return true;
    }
    if (partial.isFull && this.#wants.has('whole')) {
      await requests.stop();
      try {
        await partial.finish();
        this.#sendProgress(this.#size, true);
        return true;
      } catch (error) {
        if (!isLoadError(error) || error.code !== 'integrity_mismatch') throw error;
        if (this.restarts.includes('integrity_mismatch')) {
          throw await cleanUpAfter(error, () => partial.discard());
        }
        this.#restart = 'integrity_mismatch';
        return false;
      }
    }
    requests.abortUnwanted((range) => this.#wants.needs(range));
    const changed = new Promise<void>((resolve) => (this.#wake = resolve));
    this.#deps.pool.kick();
    await changed;
    return false;
  }

  async #startOver(partial: PartialBlob, requests: BlobRequests, reason: RestartedFile['reason']): Promise<void> {
    const { path } = this.#origin.file;
    await requests.stop();
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
    this.#failure = null;
    requests.resume();
  }

  async #isComplete(): Promise<boolean> {
    return (await openVerifiedBlob(this.#deps, this.#origin.key, this.#size)) !== null;
  }

  #sendProgress(doneBytes: number, force = false): void {
    const nowMs = performance.now();
    if (!force && nowMs - this.#lastSentMs < 200) return;
    this.#lastSentMs = nowMs;
    this.#deps.channel.sendProgress(this.#origin.key, doneBytes);
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
