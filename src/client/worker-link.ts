/**
 * The page's end of the model worker: starts it, calls it, cancels, notices its death.
 *
 * Guarantees: every call settles. A worker that dies (a crash, memory, `terminate`) rejects whatever was waiting with
 * `worker_died`; comlink alone would leave it hanging.
 */
import * as Comlink from 'comlink';
import { installErrorTransfer } from '../base/comlink-errors.ts';
import { LoadError } from '../contract/errors.ts';
import { WORKER_READY, workerLifeLock } from '../contract/worker-api.ts';
import type { ModelWorkerApi, OperationId } from '../contract/worker-api.ts';

/** See the file's header. */
export class WorkerLink {
  readonly #worker: Worker;
  readonly #api: Comlink.Remote<ModelWorkerApi>;
  readonly #watch = new AbortController();
  readonly #onDeath: (error: LoadError) => void;
  /**
   * What rejects each call that waits. (A race against one promise of the worker's death would do, but a promise that does
   * not settle keeps every race that it ever took part in, and with it every result.)
   */
  readonly #waiting = new Set<(error: LoadError) => void>();
  #ended: LoadError | null = null;
  #nextOperation: OperationId = 1;

  constructor(onDeath: (error: LoadError) => void) {
    this.#onDeath = onDeath;
    installErrorTransfer();
    const workerId = crypto.randomUUID();
    this.#worker = new Worker(new URL('../../workers/model.worker.ts', import.meta.url), {
      type: 'module',
      name: `firstlight-${workerId}`,
    });
    // Comlink holds a worker for as long as its proxy lives: a listener that leads from the one to the other keeps both.
    const { signal } = this.#watch;
    const onError = (event: ErrorEvent): void => {
      this.#die(event.message || 'Its script could not be loaded or threw at its top level.');
    };
    const onMessage = ({ data }: MessageEvent): void => {
      if (data === WORKER_READY) void this.#waitForDeath(workerId);
    };
    this.#worker.addEventListener('error', onError, { signal });
    this.#worker.addEventListener('messageerror', () => this.#die('A message could not be read.'), { signal });
    this.#worker.addEventListener('message', onMessage, { signal });
    this.#api = Comlink.wrap<ModelWorkerApi>(this.#worker);
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
        work(this.#api, operation).then(resolve, reject);
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
      this.#die('It crashed or was killed, most likely for lack of memory.');
    } catch {
      // Terminated by ourselves.
    }
  }

  #die(reason: string): void {
    if (this.#ended) return;
    const error = new LoadError('worker_died', { message: reason, retryable: true });
    this.terminate(error);
    this.#onDeath(error);
  }
}
