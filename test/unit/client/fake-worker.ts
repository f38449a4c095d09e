/**
 * A worker that lives in the test's own thread: what crosses to it and back is cloned as for a real one, and the test decides
 * what it answers, and when it dies. It stands for the platform; the real thing is driven in test/e2e.
 */
import * as Comlink from 'comlink';
import { installErrorTransfer } from '../../../src/base/comlink-errors.ts';
import { MODEL_WORKER_PREFIX } from '../../../src/contract/worker-api.ts';
import type { FetchWorkerApi, ModelWorkerApi } from '../../../src/contract/worker-api.ts';

/** See the file's header. */
export class FakeWorker extends EventTarget implements Comlink.Endpoint {
  /** Every model worker that was started since {@link reset}. */
  static started: FakeWorker[] = [];
  /** Every fetch worker. */
  static fetchers: FakeWorker[] = [];
  /** What each of them offers. */
  static api: Partial<ModelWorkerApi> = {};
  static fetchApi: Partial<FetchWorkerApi> = {};
  terminated = false;
  readonly #inside = new EventTarget();

  constructor(_url: URL, { name = '' }: WorkerOptions = {}) {
    super();
    const isModel = name.startsWith(MODEL_WORKER_PREFIX);
    (isModel ? FakeWorker.started : FakeWorker.fetchers).push(this);
    installErrorTransfer();
    Comlink.expose(isModel ? FakeWorker.api : FakeWorker.fetchApi, {
      addEventListener: this.#inside.addEventListener.bind(this.#inside),
      removeEventListener: this.#inside.removeEventListener.bind(this.#inside),
      postMessage: (message: unknown, transfer: Transferable[] = []) => this.#deliver(this, message, transfer),
    });
  }

  static reset(api: Partial<ModelWorkerApi>, fetchApi: Partial<FetchWorkerApi> = {}): void {
    FakeWorker.started = [];
    FakeWorker.fetchers = [];
    FakeWorker.api = api;
    FakeWorker.fetchApi = fetchApi;
  }

  postMessage(message: unknown, transfer: Transferable[] = []): void {
    this.#deliver(this.#inside, message, transfer);
  }

  terminate(): void {
    this.terminated = true;
  }

  /** As a script that throws, or (without a message) one that cannot be loaded. */
  fail(message?: string): void {
    this.dispatchEvent(Object.assign(new Event('error'), message === undefined ? {} : { message }));
  }

  #deliver(target: EventTarget, message: unknown, transfer: Transferable[]): void {
    const data: unknown = structuredClone(message, { transfer });
    queueMicrotask(() => {
      if (!this.terminated) target.dispatchEvent(new MessageEvent('message', { data }));
    });
  }
}
