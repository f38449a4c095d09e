/**
 * A worker that lives in the test's own thread: what crosses to it and back is cloned as for a real one, and the test decides
 * what it answers, and when it dies. It stands for the platform; the real thing is driven in test/e2e.
 */
import * as Comlink from 'comlink';
import { installErrorTransfer } from '../../../src/base/comlink-errors.ts';
import type { ModelWorkerApi } from '../../../src/contract/worker-api.ts';

/** See the file's header. */
export class FakeWorker extends EventTarget implements Comlink.Endpoint {
  /** Every one that was started since {@link reset}. */
  static started: FakeWorker[] = [];
  /** What each of them offers. */
  static api: Partial<ModelWorkerApi> = {};
  terminated = false;
  readonly #inside = new EventTarget();

  constructor() {
    super();
    FakeWorker.started.push(this);
    installErrorTransfer();
    Comlink.expose(FakeWorker.api, {
      addEventListener: this.#inside.addEventListener.bind(this.#inside),
      removeEventListener: this.#inside.removeEventListener.bind(this.#inside),
      postMessage: (message: unknown, transfer: Transferable[] = []) => this.#deliver(this, message, transfer),
    });
  }

  static reset(api: Partial<ModelWorkerApi>): void {
    FakeWorker.started = [];
    FakeWorker.api = api;
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
