/**
 * The page's end of one model worker: starts it, calls it, cancels, notices its death, ends it with the last who needs it.
 *
 * Guarantees: every call settles. A worker that dies (a crash, memory, `terminate`) rejects whatever was waiting with
 * `worker_died`; comlink alone would leave it hanging. Who needs a worker is counted with that worker: one that is gone
 * owes nothing to the one that is started after it.
 */
import * as Comlink from 'comlink';
import { installErrorTransfer } from '../base/comlink-errors.ts';
import { LoadError } from '../contract/errors.ts';
import { WORKER_READY, workerLifeLock } from '../contract/worker-api.ts';
import type { ModelWorkerApi, OperationId } from '../contract/worker-api.ts';
import { explainSilentWorker } from './start-model-worker.ts';

/** See the file's header. */
export class WorkerLink {
  readonly #worker: Worker;
  readonly #api: Comlink.Remote<ModelWorkerApi>;
  readonly #watch = new AbortController();
  /**
   * What rejects each call that waits. (A race against one promise of the worker's death would do, but a promise that does
   * not settle keeps every race that it ever took part in, and with it every result.)
   */
  readonly #waiting = new Set<(error: LoadError) => void>();
  /** Those who need the worker: calls that wait, models that live. */
  readonly #holders = new Set<object>();
  #ended: LoadError | null = null;
  /** Whether it ever said anything: before that, an error means that its script did not start. */
  #spoke = false;
  #nextOperation: OperationId = 1;

  /** `startWorker` gets the name that the worker is to have. @throws what it throws */
  constructor(startWorker: (name: string) => Worker) {
    installErrorTransfer();
    const workerId = crypto.randomUUID();
    this.#worker = startWorker(`firstlight-${workerId}`);
    // Comlink holds a worker for as long as its proxy lives: a listener that leads from the one to the other keeps both.
    const { signal } = this.#watch;
    const onError = ({ message }: ErrorEvent): void => {
      this.terminate(this.#spoke ? workerDied(message) : explainSilentWorker(message));
    };
    const onMessage = ({ data }: MessageEvent): void => {
      this.#spoke = true;
      if (data === WORKER_READY) void this.#waitForDeath(workerId);
    };
    const onMessageError = (): void => this.terminate(workerDied('A message could not be read.'));
    this.#worker.addEventListener('error', onError, { signal });
    this.#worker.addEventListener('messageerror', onMessageError, { signal });
    this.#worker.addEventListener('message', onMessage, { signal });
    this.#api = Comlink.wrap<ModelWorkerApi>(this.#worker);
  }

  /** Whether the worker is gone, and calls are in vain. */
  get hasEnded(): boolean {
    return this.#ended !== null;
  }

  /** Keeps the worker alive until the function that this yields is called; calling that again does nothing. */
  hold(): () => void {
    const holder = {};
    this.#holders.add(holder);
    return () => {
      if (this.#holders.delete(holder) && this.#holders.size === 0) this.terminate(new LoadError('disposed'));
    };
  }

  /**
   * Calls the worker. With a signal, the operation is cancelled when it fires, and the call rejects once the worker has
   * cleaned up.
   */
  async call<T>(
    work: (api: Comlink.Remote<ModelWorkerApi>, operation: OperationId) => Promise<T>,
    signal?: AbortSignal,
  ): Promise<T> {
    if (this.#ended) throw this.#ended;
    if (signal?.aborted) throw new LoadError('aborted', { retryable: true, cause: signal.reason });
    const operation = this.#nextOperation++;
    const cancel = (): void => {
      this.#api.cancel(operation).catch(() => {}); // the call itself reports what became of it
    };
    signal?.addEventListener('abort', cancel, { once: true });
    let onDeath: ((error: LoadError) => void) | undefined;
    try {
      return await new Promise<T>((resolve, reject) => {
        onDeath = reject;
        this.#waiting.add(onDeath);
        work(this.#api, operation).then(resolve, (error: unknown) => reject(toCallError(error)));
      });
    } finally {
      if (onDeath) this.#waiting.delete(onDeath);
      signal?.removeEventListener('abort', cancel);
    }
  }

  /** Ends the worker; whatever still waits rejects with `error`. */
  terminate(error: LoadError): void {
    if (this.#ended) return;
    this.#ended = error;
    this.#watch.abort();
    this.#worker.terminate();
    for (const reject of this.#waiting) reject(error);
  }

  /** Resolves the moment the worker's life lock is free, that is when the worker is gone. */
  async #waitForDeath(workerId: string): Promise<void> {
    const locks = (navigator as { locks?: LockManager }).locks;
    if (!locks) return; // insecure contexts have none: then only error events tell
    try {
      await locks.request(workerLifeLock(workerId), { signal: this.#watch.signal }, () => {});
      this.terminate(workerDied('It crashed or was killed, most likely for lack of memory.'));
    } catch {
      // Terminated by ourselves.
    }
  }
}

function workerDied(message: string): LoadError {
  return new LoadError('worker_died', { message, retryable: true });
}

/** What the worker throws is typed; what comlink throws on this side is about the arguments of the call. */
function toCallError(error: unknown): unknown {
  if (!(error instanceof Error) || error.name !== 'DataCloneError') return error;
  return new LoadError('invalid_argument', {
    message: `An argument holds what cannot be handed to a worker (a function, a proxy, an element): give plain data. ${error.message}`,
    detail: { reason: 'not_cloneable' },
    cause: error,
  });
}
