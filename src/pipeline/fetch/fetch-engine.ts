/**
 * The fetch worker, as the page sees it: one for all loads of the page, each with a connection of its own.
 *
 * In: ports, by which model workers call. Out: nothing. Guarantees: what the loads share is one for all of them; what a crash left
 * is cleared once; the end of one load disturbs no other.
 */
import { expose } from 'comlink';
import type { FetchWorkerApi } from '../../contract/worker-api.ts';
import { BlobFiles } from '../../store/blob-files.ts';
import type { CacheStore } from '../../store/catalog-view.ts';
import { CacheRecords } from '../../store/records.ts';
import { sweep } from '../../store/removal.ts';
import { storageUnavailable } from '../../store/storage-error.ts';
import { FetchConnection } from './fetch-connection.ts';
import { createSharedLine } from './shared-line.ts';
import type { SharedLine } from './shared-line.ts';

/** What the fetch worker brings. */
export interface FetchEngineOptions {
  /** Whether this browser gives the page locks. */
  readonly hasLocks: Promise<boolean>;
  readonly startHashWorker: (name: string) => Worker;
  /** Prepared weights of another version are removed at the start. */
  readonly converterVersion: number;
}

/** See the file's header. */
export class FetchEngine implements FetchWorkerApi {
  readonly #options: FetchEngineOptions;
  readonly #line: SharedLine;
  readonly #connections = new Map<number, { readonly connection: FetchConnection; readonly port: MessagePort }>();
  #store: Promise<CacheStore> | null = null;
  #sweep: Promise<unknown> = Promise.resolve();

  constructor(options: FetchEngineOptions) {
    this.#options = options;
    this.#line = createSharedLine(options.startHashWorker);
  }

  connect(id: number, port: MessagePort): void {
    const connection = new FetchConnection({ line: this.#line, openStore: () => this.#openStore() });
    this.#connections.set(id, { connection, port });
    expose(connection, port);
  }

  async disconnect(id: number): Promise<void> {
    const entry = this.#connections.get(id);
    this.#connections.delete(id);
    await entry?.connection.close();
    entry?.port.close();
  }

  async shutDown(): Promise<void> {
    await Promise.all([...this.#connections.keys()].map((id) => this.disconnect(id)));
    await this.#sweep;
    this.#line.hashers.dispose();
  }

  #openStore(): Promise<CacheStore> {
    this.#store ??= this.#open().catch((error: unknown) => {
      this.#store = null; // site data may be allowed by the next load
      throw error;
    });
    return this.#store;
  }

  async #open(): Promise<CacheStore> {
    const { hasLocks, converterVersion } = this.#options;
    if (!(await hasLocks)) throw storageUnavailable('The lock manager'); // the store needs locks, too
    const store = { files: await BlobFiles.open(), records: new CacheRecords() };
    // Beside the first work: it touches nothing that is locked, and what it leaves is never served.
    this.#sweep = sweep(store, converterVersion).catch(() => undefined);
    return store;
  }
}
