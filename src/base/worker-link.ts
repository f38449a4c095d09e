/**
 * One end of a link between threads: starts a worker, or goes over a port to one; calls it, cancels, notices its death.
 *
 * In: what the other side offers (a comlink API; src/base/linked-worker.ts is its side), and how its end is to be explained.
 * Out: results. Guarantees: every call settles. However the other side ends (a crash, lack of memory, `terminate`, a script that
 * could not be loaded, a policy that forbids it), every call under way rejects with the same typed error, and so does every call
 * after it; comlink alone would leave them waiting. Operation ids are given here and nowhere else.
 */
import * as Comlink from 'comlink';
import { isLoadError, LoadError } from '../contract/errors.ts';
import type { OperationId } from '../contract/worker-api.ts';
import { abortedError } from './abort.ts';
import { installErrorTransfer } from './comlink-errors.ts';
import { LIFE_LOCK_HELD, watchLife } from './life-lock.ts';
import { blockedByPolicy, findViolation, watchPolicy } from './policy-violations.ts';

/** One kind of worker. */
export interface WorkerKind {
  /** The beginning of the names of such workers. A worker holds a lock of its name for as long as it lives. */
  readonly namePrefix: string;
  /** Starts one. It may throw. */
  readonly start: (name: string) => Worker;
  /** The error of all calls where the worker ended by itself, or would not start. Default: {@link explainEnd}. */
  readonly explain?: ((end: WorkerEnd) => LoadError) | undefined;
}

/** How a worker ended that nobody here has ended. */
export interface WorkerEnd {
  /** What is known of it; may be empty. */
  readonly message: string;
  /** Whether the worker ever said anything. If not, its script did not start. */
  readonly hasStarted: boolean;
  /** What {@link WorkerKind.start} threw. */
  readonly cause?: unknown;
}

/** See the file's header. */
export class WorkerLink<Api extends object> {
  /** Null where the worker could not even be started. */
  readonly #api: Comlink.Remote<Api> | null;
  readonly #close: () => void;
  /**
   * What rejects each call that waits. (A race against one promise of the worker's death would do, but a promise that does
   * not settle keeps every race that it ever took part in, and with it every result.)
   */
  readonly #waiting = new Set<(error: LoadError) => void>();
  readonly #endListeners = new Set<(error: LoadError) => void>();
  /** Those who need the other side: calls that wait, models that live. */
  readonly #holders = new Set<object>();
  #ended: LoadError | null = null;
  #nextOperation: OperationId = 1;

  private constructor(endpoint: Comlink.Endpoint | null, close: () => void) {
    installErrorTransfer();
    this.#api = endpoint && Comlink.wrap<Api>(endpoint);
    this.#close = close;
  }

  /** Starts a worker. Never throws: calls of one that could not be started reject. */
  static start<Api extends object>(kind: WorkerKind): WorkerLink<Api> {
    const { namePrefix, start, explain = explainEnd } = kind;
    watchPolicy();
    const name = `${namePrefix}${crypto.randomUUID()}`;
    let worker: Worker;
    try {
      worker = start(name);
    } catch (cause) {
      const link = new WorkerLink<Api>(null, () => undefined);
      link.end(explain({ message: String(cause), hasStarted: false, cause }));
      return link;
    }
    const watch = new AbortController();
    const { signal } = watch;
    const link = new WorkerLink<Api>(worker, () => {
      watch.abort();
      worker.terminate();
    });
    let hasStarted = false;
    const onDeath = (message: string): void => link.end(explain({ message, hasStarted }));
    const onMessage = ({ data }: MessageEvent): void => {
      hasStarted = true;
      if (data === LIFE_LOCK_HELD) watchLife(name, signal, () => onDeath(KILLED));
    };
    const onError = (event: ErrorEvent): void => {
      event.preventDefault(); // the calls report it; else it counts as an error of the thread that started this one, too
      onDeath(event.message);
    };
    // Comlink holds a worker for as long as its proxy lives: a listener that leads from the one to the other keeps both.
    worker.addEventListener('message', onMessage, { signal });
    worker.addEventListener('error', onError, { signal });
    worker.addEventListener('messageerror', () => onDeath('A message could not be read.'), { signal });
    return link;
  }

  /**
   * A link to a worker that somebody else has started. A port does not tell when the other side is gone: whoever knows calls
   * {@link end}.
   */
  static overPort<Api extends object>(port: MessagePort): WorkerLink<Api> {
    return new WorkerLink<Api>(port, () => port.close());
  }

  /** Why the other side is gone, so that calls are in vain; null while it lives. */
  get ended(): LoadError | null {
    return this.#ended;
  }

  /** Calls `listener` when this link ends, at once where it has. Yields a function that ends that. */
  onEnd(listener: (error: LoadError) => void): () => void {
    if (this.#ended) listener(this.#ended);
    else this.#endListeners.add(listener);
    return () => void this.#endListeners.delete(listener);
  }

  /** Keeps the link until the function that this yields is called; calling that again does nothing. The last one ends it. */
  hold(): () => void {
    const holder = {};
    this.#holders.add(holder);
    return () => {
      if (this.#holders.delete(holder) && this.#holders.size === 0) this.end(new LoadError('disposed'));
    };
  }

  /**
   * Calls the other side. With a signal, which an API with `cancel(operation)` alone may be given: the operation is cancelled when
   * it fires, and the call rejects once the other side has cleaned up.
   */
  async call<T>(
    work: (api: Comlink.Remote<Api>, operation: OperationId) => Promise<T>,
    signal?: AbortSignal,
  ): Promise<T> {
    const api = this.#api;
    if (this.#ended || !api) throw this.#ended ?? new LoadError('internal');
    if (signal?.aborted) throw abortedError(signal);
    const operation = this.#nextOperation++;
    const cancel = (): void => {
      // The call itself reports what became of it.
      (api as unknown as Comlink.Remote<Cancellable>).cancel(operation).catch(() => undefined);
    };
    signal?.addEventListener('abort', cancel, { once: true });
    let onEnd: ((error: LoadError) => void) | undefined;
    try {
      return await new Promise<T>((resolve, reject) => {
        onEnd = reject;
        this.#waiting.add(onEnd);
        work(api, operation).then(resolve, (error: unknown) => reject(toCallError(error, signal)));
      });
    } finally {
      if (onEnd) this.#waiting.delete(onEnd);
      signal?.removeEventListener('abort', cancel);
    }
  }

  /** Ends the other side, as far as this link has started it; whatever still waits rejects with `error`. */
  end(error: LoadError): void {
    if (this.#ended) return;
    this.#ended = error;
    this.#close();
    for (const reject of this.#waiting) reject(error);
    for (const listener of this.#endListeners) listener(error);
  }
}

/** What an API with cancellable calls offers. */
interface Cancellable {
  cancel(operation: OperationId): void;
}

/** The error for a worker that ended by itself, as far as every realm can tell. */
export function explainEnd({ message, hasStarted, cause }: WorkerEnd): LoadError {
  if (hasStarted) return workerDied(message);
  return explainPolicy() ?? workerDied(message || SILENT, cause);
}

/** The error where the page's policy forbids workers; null where it does not. */
export function explainPolicy(): LoadError | null {
  const violation = findViolation(['worker-src', 'child-src']);
  return violation && blockedByPolicy(violation, "worker-src 'self'");
}

function workerDied(message: string, cause?: unknown): LoadError {
  return new LoadError('worker_died', { message, retryable: true, cause });
}

const KILLED = 'It ended without a word: it crashed or was killed, most likely for lack of memory.';
const SILENT =
  'Its script could not be loaded, or threw at its top level. It has to be served with the page, and on an isolated page with the same Cross-Origin-Embedder-Policy.';

/** What the other side throws is typed; what comlink throws on this side is about the arguments of the call. */
function toCallError(error: unknown, signal: AbortSignal | undefined): unknown {
  // The reason that the caller gave stays on the caller's side.
  if (signal?.aborted && isLoadError(error) && error.code === 'aborted') {
    const { stage } = error;
    return stage === null ? abortedError(signal) : abortedError(signal).inStage(stage);
  }
  if (!(error instanceof Error) || error.name !== 'DataCloneError') return error;
  return new LoadError('invalid_argument', {
    message: `An argument holds what cannot be handed to a worker (a function, a proxy, an element): give plain data. ${error.message}`,
    detail: { reason: 'not_cloneable' },
    cause: error,
  });
}
