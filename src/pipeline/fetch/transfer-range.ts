/**
 * One connection's work: the bytes of one range into a sink, however often the network fails.
 *
 * In: a range and a sink (the blob being written). Out: nothing; the bytes are in the sink. Guarantees: bytes reach the
 * sink at their true offset only; what arrived before a failure is kept and not asked for again; attempts without a new
 * byte are bounded; silence ends an attempt; nothing is left running once the promise settles.
 */
import { retry } from '../../base/retry.ts';
import { isLoadError, LoadError } from '../../contract/errors.ts';
import { networkError } from '../../hub/request.ts';
import { requestRange } from './range-request.ts';
import type { RangeAnswer, RangeRequest } from './range-request.ts';
import type { FetchTuning } from './tuning.ts';

/** Where bytes go, and what is known of the file's server. */
export interface RangeSink {
  /** The first position from `position` on that is not on disk yet. */
  nextMissing(position: number): number;
  /** Whether this answer may be used: notes its validator; false ends the work quietly (another stream is at it). */
  accept(answer: RangeAnswer): boolean;
  /** Bytes of the file at `offset`; how many of them were new. Awaiting it is the backpressure. */
  write(offset: number, bytes: Uint8Array<ArrayBuffer>): Promise<number>;
  addNetworkBytes(count: number): void;
  /** Shared by all connections of the file. */
  readonly server: ServerKnowledge;
}

/** What one connection learns of a file's server and all of them use. */
export interface ServerKnowledge {
  /** Address after redirects, while it is known to work. In memory only: it may hold a signature. */
  directUrl: string | null;
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
}

/** See the file's header. @throws LoadError of the network, of HTTP and of the sink; `aborted` */
export async function transferRange(job: RangeJob): Promise<void> {
  const { sink, tuning, signal } = job;
  let { start: from, end } = job;
  let uselessRanges = 0;
  await retry(
    async ({ madeProgress }) => {
      const start = sink.nextMissing(from);
      if (start >= end) return;
      const seen = { newBytes: 0, ranged: false };
      try {
        await attempt(job, start, end, {
          onAnswer: (answer) => {
            seen.ranged = !answer.whole;
            // A whole body has to be read through anyway, so it may as well bring the rest.
            if (answer.whole) [from, end] = [answer.start, answer.end];
          },
          onGain: (count) => {
            seen.newBytes += count;
            if (count > 0) madeProgress();
          },
        });
      } catch (error) {
        const rangeRefused = isLoadError(error) && error.code === 'range_invalid';
        if (seen.newBytes === 0 && (seen.ranged || rangeRefused)) uselessRanges++;
        const compressed = isLoadError(error) && error.detail['compressed'] === true;
        if (compressed || uselessRanges >= RANGE_CHANCES) sink.server.wholeOnly = true;
        throw error;
      }
    },
    {
      signal,
      attempts: tuning.maxAttempts,
      baseDelayMs: tuning.firstDelayMs,
      maxDelayMs: tuning.maxDelayMs,
    },
  );
}

/** Useless answers to ranges before the whole file is asked for instead. */
const RANGE_CHANCES = 3;

interface AttemptEvents {
  onAnswer(answer: RangeAnswer): void;
  onGain(newBytes: number): void;
}

async function attempt(job: RangeJob, start: number, end: number, events: AttemptEvents): Promise<void> {
  const { signal, tuning, sink, request } = job;
  const watch = new Watchdog(signal);
  try {
    watch.start(tuning.headersTimeoutMs);
    const answer = await ask(job, start, end, watch.signal);
    if (!sink.accept(answer)) {
      await answer.body.cancel().catch(() => undefined);
      return;
    }
    events.onAnswer(answer);
    if (answer.redirectedUrl !== null) sink.server.directUrl = answer.redirectedUrl;
    await readBody(answer, request.path, sink, watch, tuning, events);
  } catch (error) {
    if (isLoadError(error) && error.code !== 'aborted') throw error;
    if (watch.timedOut) throw timeoutError(request.url, watch.timedOut);
    throw isLoadError(error) ? error : networkError(error, request.url, signal);
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
  const reader = answer.body.getReader();
  let position = answer.start;
  try {
    for (;;) {
      watch.start(tuning.stallTimeoutMs);
      const { done, value } = await reader.read();
      watch.pause();
      if (done) break;
      sink.addNetworkBytes(value.byteLength);
      if (position + value.byteLength > answer.end) throw lengthError(answer, path, position + value.byteLength);
      events.onGain(await sink.write(position, value));
      position += value.byteLength;
    }
    if (position !== answer.end) throw lengthError(answer, path, position);
  } finally {
    await reader.cancel().catch(() => undefined);
  }
}

/** A body that ended cleanly at the wrong place: the browser itself reports a connection that broke. */
function lengthError(answer: RangeAnswer, path: string, position: number): LoadError {
  const detail = { path, expectedBytes: answer.end - answer.start, actualBytes: position - answer.start };
  const message = `${path}: expected ${detail.expectedBytes} bytes, the body brought ${detail.actualBytes}.`;
  return new LoadError(answer.whole ? 'size_mismatch' : 'range_invalid', { message, retryable: true, detail });
}

function timeoutError(url: string, timeoutMs: number): LoadError {
  const { origin } = new URL(url);
  return new LoadError('network_unreachable', {
    message: `${origin} sent nothing for ${timeoutMs / 1000} s.`,
    retryable: true,
    detail: { origin, timeoutMs },
  });
}

/** Ends a request that has gone silent, or that is no longer wanted. */
class Watchdog {
  readonly #controller = new AbortController();
  readonly #outer: AbortSignal;
  readonly #onAbort = (): void => this.#controller.abort(this.#outer.reason);
  #timer: ReturnType<typeof setTimeout> | undefined;
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

  start(limitMs: number): void {
    this.pause();
    this.#timer = setTimeout(() => {
      this.timedOut = limitMs;
      this.#controller.abort();
    }, limitMs);
  }

  pause(): void {
    clearTimeout(this.#timer);
  }

  /** Also ends whatever of the request is still open. */
  stop(): void {
    this.pause();
    this.#outer.removeEventListener('abort', this.#onAbort);
    this.#controller.abort();
  }
}
