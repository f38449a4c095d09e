/**
 * One file on its way from the network past those who read it; nothing of it is kept.
 *
 * In: wants: a range now, or a range as soon as the running pass brings it, in the order of the file. Out: their bytes, and at the
 * end of a pass the news that every byte had the announced hash. Guarantees: no byte crosses the network twice, what was
 * read before the pass began included; bytes wait for their reader, and the network waits for both, so that no more than a window
 * is in memory; a connection that breaks is taken up at the byte where it broke; a file that changes on the server ends it with
 * `file_changed`, another content with `integrity_mismatch`; after `stop` nothing runs.
 */
import { LoadError } from '../../contract/errors.ts';
import type { FileHasher, HasherFactory } from '../../store/file-hasher.ts';
import { checkHash } from '../../store/hashing.ts';
import { BlobRequests } from './blob-requests.ts';
import type { BlobOrigin, RequestDeps } from './blob-requests.ts';
import type { PoolRequest, RequestSource } from './connection-pool.ts';
import { nameFile } from './name-file.ts';
import { PassingBlob } from './passing-blob.ts';
import { RangeSizer } from './range-sizer.ts';
import type { LoadLine } from './shared-line.ts';
import { WantList } from './want-list.ts';
import type { RangeWant } from './want-list.ts';

/** What all files that pass share. */
export interface PassingDeps extends RequestDeps {
  readonly hashers: Pick<HasherFactory, 'create'>;
}

/** Ranges that fit the window. */
export function createPassingDeps({
  tuning,
  ...line
}: Omit<LoadLine, 'hashers'> & Pick<PassingDeps, 'hashers'>): PassingDeps {
  const { windowBytes, rangeBytes } = tuning;
  return {
    ...line,
    tuning,
    // A quarter at most: while one range is read, the others are on their way.
    sizer: new RangeSizer({ rangeBytes, maxRangeBytes: windowBytes / 4, maxOpenBytes: windowBytes }),
  };
}

/** See the file's header. */
export class PassingTransfer implements RequestSource {
  readonly notices: string[] = [];
  readonly #deps: PassingDeps;
  readonly #origin: BlobOrigin;
  readonly #getBytesAhead: () => number;
  readonly #wants = new WantList();
  readonly #blob: PassingBlob;
  readonly #requests: BlobRequests;
  #hasher: FileHasher | null = null;
  /** While it passes: where the last read of it ends. Null before. */
  #readEnd: number | null = null;
  /** Its hash is ready. */
  #isPassing = false;
  /** Of the reads that follow the file. */
  #lastStart = 0;
  #furthestEnd = 0;
  #failure: LoadError | null = null;

  /** `getBytesAhead`: of files that pass before this one, what has not passed; it takes part of the window. */
  constructor(
    deps: PassingDeps,
    origin: BlobOrigin,
    onNetworkBytes: (count: number) => void,
    getBytesAhead: () => number = () => 0,
  ) {
    this.#deps = deps;
    this.#origin = origin;
    this.#getBytesAhead = getBytesAhead;
    this.#blob = new PassingBlob(origin.file.sizeBytes, deps.buffers, () => this.#windowEnd);
    this.#requests = new BlobRequests(
      deps,
      origin,
      this.#blob,
      { directUrl: null, rangesWork: false, wholeOnly: false },
      {
        onNetworkBytes,
        onChange: () => this.#advance(),
        onRestart: (reason) => {
          const message =
            'It is another one than it was when its first bytes came, and these are on the device by now.';
          this.#fail(new LoadError(reason, { message, retryable: true }));
        },
        onFailure: (error) => this.#fail(error),
        onNotice: (message) => this.notices.push(message),
      },
    );
  }

  /** Bytes that have arrived. */
  get doneBytes(): number {
    return this.#blob.doneBytes;
  }

  /** Bytes that have not passed yet. */
  get leftBytes(): number {
    return this.#size - this.#blob.passedBytes;
  }

  /** Whether a pass has begun. */
  get passes(): boolean {
    return this.#readEnd !== null;
  }

  /** In memory. */
  get heldBytes(): number {
    return this.#blob.heldBytes;
  }

  /** Bytes now, whatever passes: headers, and small files whole. They stay in memory until they pass. */
  readNow(range: RangeWant, signal: AbortSignal): Promise<Uint8Array<ArrayBuffer>> {
    return this.#want({ ...range, kind: 'range' }, signal);
  }

  /** Bytes as soon as they pass. Each read begins where the one before it began, or behind; what lies before it is given up. */
  readPassing(range: RangeWant, signal: AbortSignal): Promise<Uint8Array<ArrayBuffer>> {
    this.#lastStart = Math.max(this.#lastStart, range.start);
    this.#furthestEnd = Math.max(this.#furthestEnd, range.end);
    // Before the pass begins nothing else would bring them.
    return this.#want({ ...range, kind: this.#readEnd === null ? 'range' : 'wait' }, signal);
  }

  /**
   * The whole file, past reads of which the last ends at `readEnd`; what lies behind that is fetched for the hash alone.
   * @throws LoadError `integrity_mismatch`, `file_changed`, those of the network, `aborted`
   */
  async pass(readEnd: number, signal: AbortSignal): Promise<void> {
    const { hash, path } = this.#origin.file;
    this.#readEnd = readEnd; // at once: reads that come now follow the pass
    this.#deps.pool.leave(this);
    this.#deps.pool.join(this); // files are asked for in the order in which they pass, whichever was looked into first
    try {
      if (hash) {
        this.#hasher = await this.#deps.hashers.create(hash.algorithm, this.#size, null);
        this.#hasher.onDrain = () => this.#advance();
      }
      this.#isPassing = true;
      await this.#want({ kind: 'whole', start: 0, end: this.#size }, signal);
      if (hash && this.#hasher) checkHash(hash, await this.#hasher.digest());
    } catch (error) {
      throw nameFile(error, path);
    }
  }

  /** Ends what runs; wants that are open end in `error`. */
  async stop(error: LoadError = new LoadError('aborted', { retryable: true })): Promise<void> {
    this.#failure ??= error;
    this.#deps.pool.leave(this);
    const stopping = this.#requests.stop();
    this.#blob.close(); // writers that wait for room wait no more
    this.#wants.rejectAll(this.#failure);
    await stopping;
    this.#hasher?.close();
  }

  // --- RequestSource: what the connection pool asks ---

  takeRequest(urgency: 'urgent' | 'bulk'): PoolRequest | null {
    if (this.#failure) return null;
    const { intervals } = this.#blob;
    return this.#requests.take((asked, maxBytes) => {
      const gap = this.#wants.findGap(urgency === 'urgent' ? 'range' : 'whole', intervals, asked, maxBytes);
      if (!gap || urgency === 'urgent') return gap;
      const end = Math.min(gap.end, this.#windowEnd);
      // Unless somebody waits for it, a request for the little that just became free would be a round trip for next to nothing.
      const isWorthIt =
        gap.start < this.#wantedEnd || end === gap.end || end - gap.start >= this.#deps.tuning.rangeBytes;
      return isWorthIt && gap.start < end ? { start: gap.start, end } : null;
    });
  }

  async #want(
    want: RangeWant & { readonly kind: 'range' | 'wait' | 'whole' },
    signal: AbortSignal,
  ): Promise<Uint8Array<ArrayBuffer>> {
    if (this.#failure) throw this.#failure;
    this.#deps.pool.join(this);
    const bytes = await this.#wants.want(want, signal, () => this.#advance());
    return bytes ?? new Uint8Array();
  }

  /** Whatever has become possible: answers, giving up, asking. */
  #advance(): void {
    if (this.#failure) return;
    const blob = this.#blob;
    this.#wants.serve(({ kind, start, end, memory }) =>
      kind !== 'whole' && blob.has(start, end) ? blob.read(start, end, memory) : null,
    );
    if (this.#isPassing) blob.passTo(this.#finishedEnd, this.#hasher);
    if (blob.isPassed) this.#wants.serve(({ kind }) => (kind === 'whole' ? new Uint8Array() : null));
    this.#requests.abortUnwanted((range) => this.#wants.needs(range));
    blob.wake(); // a want beyond the window has moved its end
    this.#deps.pool.kick();
  }

  /** What lies before it is needed by nobody any more. */
  get #finishedEnd(): number {
    const open = [...this.#wants.of('wait'), ...this.#wants.of('range')].map(({ start }) => start);
    if (open.length > 0) return Math.min(...open);
    return this.#furthestEnd >= (this.#readEnd ?? Infinity) ? this.#size : this.#lastStart;
  }

  /** How far the network may come: a window beyond what has passed, and as far as somebody waits. */
  get #windowEnd(): number {
    const room = Math.max(0, this.#deps.tuning.windowBytes - this.#getBytesAhead());
    return Math.min(this.#size, Math.max(this.#blob.passedBytes + room, this.#wantedEnd));
  }

  get #wantedEnd(): number {
    return Math.max(0, ...this.#wants.of('wait').map(({ end }) => end));
  }

  #fail(error: unknown): void {
    if (this.#failure) return;
    void this.stop(nameFile(error, this.#origin.file.path));
  }

  get #size(): number {
    return this.#origin.file.sizeBytes;
  }
}
