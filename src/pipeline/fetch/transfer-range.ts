/**
 * One connection's work: the bytes of one range into a sink, however often the network fails.
 *
 * In: a range and a sink (the blob being written). Out: nothing; the bytes are in the sink. Guarantees: bytes reach the
 * sink at their true offset only; what arrived before a failure is kept and not asked for again; attempts without a new
 * byte are bounded; silence ends an attempt; nothing is left running once the promise settles.
 */
import type { BufferPool } from '../../base/buffer-pool.ts';
import { cleanUpAfter } from '../../base/clean-up.ts';
import { isTransient, retry, type RetryOptions } from '../../base/retry.ts';
import { isLoadError, LoadError } from '../../contract/errors.ts';
import { networkError } from '../../hub/request.ts';
import { BodyReader } from './body-reader.ts';
import type { ConnectionTurn } from './connection-budget.ts';
import { requestRange } from './range-request.ts';
import type { RangeAnswer, RangeRequest } from './range-request.ts';
import type { FetchTuning } from './tuning.ts';

/** Where bytes go, and what is known of the file's server. */
export interface RangeSink {
  /** The first position from `position` on that is not on disk yet. */
  nextMissing(position: number): number;
  /** Whether this answer may be used: notes its validator; false ends the work quietly (another stream is at it). */
  accept(answer: RangeAnswer): boolean;
  /** Takes over bytes of the file at `offset`; how many of them were new. Awaiting it is the backpressure. */
  write(offset: number, bytes: Uint8Array<ArrayBuffer>): Promise<number>;
  /** A body begins: the account of what it brings. */
  openAccount(): BodyAccount;
  /** Where its buffers come from; what is written goes back there once it has been hashed. */
  readonly buffers: BufferPool;
  /** Shared by all connections of the file. */
  readonly server: ServerKnowledge;
}

/** What one body brings, told as it comes. */
export interface BodyAccount {
  add(turn: ConnectionTurn): void;
  close(): void;
}

/** What one connection learns of a file's server and all of them use. */
export interface ServerKnowledge {
  /** Address after redirects, while it is known to work. In memory only: it may hold a signature. */
  directUrl: string | null;
  /** Whether a range has ever brought bytes. */
  rangesWork: boolean;
  /** Whether its answers to ranges have proved useless. */
  wholeOnly: boolean;
}

/** What to get. */
export interface RangeJob {
  readonly request: Omit<RangeRequest, 'start' | 'end' | 'useRange' | 'signal'>;
  readonly start: number;
  readonly end: number;
  readonly sink: RangeSink;
  readonly tuning: FetchTuning;
  readonly signal: AbortSignal;
  /** Told before each wait. */
  readonly onRetry?: RetryOptions['onRetry'];
}

/** See the file's header. @throws LoadError of the network, of HTTP and of the sink; `aborted` */
export async function transferRange(job: RangeJob): Promise<void> {
  const { sink, tuning, signal } = job;
  let { start: from, end } = job;
  /** Failures without a byte, in a row; and how often the range was halved for failures of any kind. */
  const trouble = { barren: 0, halvings: 0 };
  await retry(
    async ({ madeProgress }) => {
      for (let start = sink.nextMissing(from); start < end; start = sink.nextMissing(from)) {
        const seen = { newBytes: 0, usable: true };
        try {
          await attempt(job, start, shrink(start, end, trouble.halvings), {
            onAnswer: (answer) => {
              // A whole body has to be read through anyway, so it may as well bring the rest.
              if (answer.whole) [from, end] = [answer.start, answer.end];
              // One that is being read by another connection is no business of this one.
              seen.usable = sink.accept(answer);
              return seen.usable;
            },
            onGain: (count) => {
              seen.newBytes += count;
              if (count > 0) madeProgress();
            },
          });
          if (!seen.usable) return;
          trouble.barren = 0;
          trouble.halvings = Math.max(0, trouble.halvings - 1);
        } catch (error) {
          trouble.barren = seen.newBytes > 0 ? 0 : trouble.barren + 1;
          trouble.halvings++;
          reconsiderRanges(sink.server, error, trouble.barren);
          throw error;
        }
      }
    },
    {
      signal,
      attempts: tuning.maxAttempts,
      // A repeated request brings no dead worker back.
      isRetryable: (error) => isTransient(error) && !(isLoadError(error) && error.code === 'worker_died'),
      baseDelayMs: tuning.firstDelayMs,
      maxDelayMs: tuning.maxDelayMs,
      onRetry: job.onRetry,
    },
  );
}

/** Useless answers to ranges before the whole file is asked for instead. */
const RANGE_CHANCES = 4;

/** No smaller range is ever asked for. */
const SMALLEST_RANGE_BYTES = 16 * 1024;

/**
 * A connection that breaks off takes with it what the browser had not handed over yet. Asked for less and less, even a
 * line that always breaks after a few kilobytes gets its answers through.
 */
function shrink(start: number, end: number, halvings: number): number {
  const sizeBytes = Math.ceil((end - start) / 2 ** halvings);
  return Math.min(end, start + Math.max(SMALLEST_RANGE_BYTES, sizeBytes));
}

/**
 * Some servers cannot do ranges, in ways that a page only sees as failures: a compressed range is refused by the browser
 * itself, without a word. Where ranges have never worked, the whole file is tried. A status says something of its own.
 */
function reconsiderRanges(server: ServerKnowledge, error: unknown, barrenAttempts: number): void {
  const useless = isLoadError(error) && error.detail['rangesUseless'] === true;
  const isWordless = !isLoadError(error) || (error.code !== 'http_status' && error.code !== 'aborted');
  if (useless || (isWordless && !server.rangesWork && barrenAttempts >= RANGE_CHANCES)) server.wholeOnly = true;
}

interface AttemptEvents {
  /** Whether to read its body. */
  onAnswer(answer: RangeAnswer): boolean;
  onGain(newBytes: number): void;
}

async function attempt(job: RangeJob, start: number, end: number, events: AttemptEvents): Promise<void> {
  const { signal, tuning, sink, request } = job;
  const watch = new Watchdog(signal);
  let answered = false;
  try {
    watch.start(tuning.headersTimeoutMs);
    const answer = await ask(job, start, end, watch.signal);
    if (!events.onAnswer(answer)) {
      await answer.body.cancel().catch(() => undefined);
      return;
    }
    answered = true;
    if (answer.redirectedUrl !== null) sink.server.directUrl = answer.redirectedUrl;
    await readBody(answer, request.path, sink, watch, tuning, events);
  } catch (error) {
    if (isLoadError(error) && error.code !== 'aborted') throw error;
    if (watch.timedOut) throw timeoutError(request.url, watch.timedOut);
    if (isLoadError(error) || signal.aborted || !answered) throw networkError(error, request.url, signal);
    throw brokenOffError(request.url, error);
  } finally {
    watch.stop();
  }
}

/** Asks the address behind the redirect first; when its signature has expired, the hub for a new one. */
async function ask(job: RangeJob, start: number, end: number, signal: AbortSignal): Promise<RangeAnswer> {
  const { sink } = job;
  const request: RangeRequest = { ...job.request, start, end, useRange: !sink.server.wholeOnly, signal };
  const direct = sink.server.directUrl;
  if (direct !== null) {
    try {
      return await requestRange({ ...request, url: direct });
    } catch (error) {
      if (signal.aborted) throw error;
      const refused = isLoadError(error) && (error.code === 'network_unreachable' || error.detail['expiredRedirect']);
      if (!refused) throw error;
      if (sink.server.directUrl === direct) sink.server.directUrl = null;
    }
  }
  return requestRange(request);
}

async function readBody(
  answer: RangeAnswer,
  path: string,
  sink: RangeSink,
  watch: Watchdog,
  tuning: FetchTuning,
  events: AttemptEvents,
): Promise<void> {
  const reader = new BodyReader(answer.body, sink.buffers, tuning.rangeBytes);
  const account = sink.openAccount();
  let position = answer.start;
  const writeOut = async (): Promise<void> => {
    if (reader.gatheredBytes === 0) return;
    const bytes = reader.take();
    const offset = position;
    position += bytes.byteLength;
    events.onGain(await sink.write(offset, bytes));
    if (!answer.whole) sink.server.rangesWork = true;
  };
  const finish = async (): Promise<void> => {
    account.close();
    await reader.close();
    // Whatever ended it, bytes that arrived are kept.
    await writeOut().finally(() => reader.release());
  };
  try {
    let receivedBytes = 0;
    for (;;) {
      const startMs = performance.now();
      watch.start(tuning.stallTimeoutMs);
      const count = await reader.read();
      watch.pause();
      if (count === null) break;
      const readMs = performance.now();
      receivedBytes += count;
      try {
        if (answer.start + receivedBytes > answer.end) throw lengthError(answer, path, answer.start + receivedBytes);
        reader.gather();
        while (reader.isDue) {
          await writeOut();
          reader.gather();
        }
      } finally {
        account.add({ sizeBytes: count, networkMs: readMs - startMs, behindMs: performance.now() - readMs });
      }
    }
    if (answer.start + receivedBytes !== answer.end) throw lengthError(answer, path, answer.start + receivedBytes);
  } catch (error) {
    throw await cleanUpAfter(error, finish);
  }
  await finish();
}

/** A body that ended cleanly at the wrong place: the browser itself reports a connection that broke. */
function lengthError(answer: RangeAnswer, path: string, position: number): LoadError {
  const detail = { path, expectedBytes: answer.end - answer.start, actualBytes: position - answer.start };
  const message = `${path}: expected ${detail.expectedBytes} bytes, the body brought ${detail.actualBytes}.`;
  return new LoadError(answer.whole ? 'size_mismatch' : 'range_invalid', { message, retryable: true, detail });
}

function brokenOffError(url: string, cause: unknown): LoadError {
  const { origin } = new URL(url);
  return new LoadError('network_unreachable', {
    message: `The connection to ${origin} broke off.`,
    retryable: true,
    detail: { origin, answered: true },
    cause,
  });
}

function timeoutError(url: string, timeoutMs: number): LoadError {
  const { origin } = new URL(url);
  return new LoadError('network_unreachable', {
    message: `${origin} sent nothing for ${timeoutMs / 1000} s.`,
    retryable: true,
    detail: { origin, timeoutMs, answered: true },
  });
}

/** Ends a request that has gone silent, or that is no longer wanted. */
class Watchdog {
  readonly #controller = new AbortController();
  readonly #outer: AbortSignal;
  readonly #onAbort = (): void => this.#controller.abort(this.#outer.reason);
  #timer: ReturnType<typeof setTimeout> | undefined;
  #limitMs = 0;
  /** Since when there has been silence; null while nobody listens. */
  #sinceMs: number | null = null;
  /** The limit that was exceeded, ms. */
  timedOut: number | null = null;

  constructor(outer: AbortSignal) {
    this.#outer = outer;
    outer.addEventListener('abort', this.#onAbort, { once: true });
    if (outer.aborted) this.#onAbort();
  }

  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  /** Silence counts from now on. Called for each read, so it sets no timer of its own where one runs. */
  start(limitMs: number): void {
    this.#sinceMs = performance.now();
    if (limitMs !== this.#limitMs) this.#clear();
    this.#limitMs = limitMs;
    this.#timer ??= setTimeout(this.#check, limitMs);
  }

  pause(): void {
    this.#sinceMs = null;
  }

  /** Also ends whatever of the request is still open. */
  stop(): void {
    this.#clear();
    this.#outer.removeEventListener('abort', this.#onAbort);
    this.#controller.abort();
  }

  readonly #check = (): void => {
    this.#timer = undefined;
    if (this.#sinceMs === null) return;
    const leftMs = this.#sinceMs + this.#limitMs - performance.now();
    if (leftMs > 0) {
      this.#timer = setTimeout(this.#check, Math.ceil(leftMs));
      return;
    }
    this.timedOut = this.#limitMs;
    this.#controller.abort();
  };

  #clear(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
  }
}
