/**
 * The fetch worker of this page, which all its loads share: connections, pauses and hashing are bounded once, for all of them.
 *
 * In: whoever needs it: calls that load, and ways that model workers have to it. Out: ports to it. Guarantees: it starts with the
 * first who needs it and ends with the last; where it dies, every way to it is told why, and whoever comes next gets another
 * one; where a model worker ends, what the fetch worker does for it ends, and nothing else. (A loader that is made inside a
 * worker is in a realm of its own, and shares nothing with the page.)
 */
import { releaseProxy, transfer } from 'comlink';
import type { ProxyMethods } from 'comlink';
import { WorkerLink } from '../base/worker-link.ts';
import type { WorkerKind } from '../base/worker-link.ts';
import { LoadError, toErrorData } from '../contract/errors.ts';
import type { LoadErrorData } from '../contract/errors.ts';
import type { FetchDoor, FetchPort, FetchWorkerApi } from '../contract/worker-api.ts';
import { FETCH_WORKER } from './page-workers.ts';

/** One a model worker. */
export interface FetchHostDoor extends FetchDoor {
  /** The model worker is gone: ends all that the fetch worker does for it. */
  shut(): void;
}

/** See the file's header. */
export class FetchHost {
  readonly #kind: WorkerKind;
  #running: { readonly link: WorkerLink<FetchWorkerApi>; readonly holders: Set<object> } | null = null;
  #nextConnection = 1;

  constructor(kind: WorkerKind) {
    this.#kind = kind;
  }

  /** Starts the worker where there is none, and keeps it until the function that this yields is called. */
  hold(): () => Promise<void> {
    return this.#hold().letGo;
  }

  openDoor(): FetchHostDoor {
    const ways = new Map<number, () => Promise<void>>();
    let isShut = false;
    const close = async (connection: number): Promise<void> => {
      const end = ways.get(connection);
      ways.delete(connection);
      await end?.();
    };
    return {
      open: async (onEnd) => {
        if (isShut) throw new LoadError('disposed');
        const connection = this.#nextConnection++;
        const { port, end } = this.#connect(connection, onEnd);
        ways.set(connection, end);
        try {
          const opened: FetchPort = { connection, port: await port };
          return transfer(opened, [opened.port]);
        } catch (error) {
          await close(connection);
          throw error;
        }
      },
      close,
      shut: () => {
        isShut = true;
        for (const connection of [...ways.keys()]) void close(connection);
      },
    };
  }

  #connect(
    connection: number,
    onEnd: (error: LoadErrorData) => void,
  ): { readonly port: Promise<MessagePort>; readonly end: () => Promise<void> } {
    const { link, letGo } = this.#hold();
    const { port1, port2 } = new MessageChannel();
    const unlisten = link.onEnd((error) => onEnd(toErrorData(error)));
    return {
      // Answered when the worker has started, or cannot.
      port: link.call((api) => api.connect(connection, transfer(port1, [port1]))).then(() => port2),
      end: async () => {
        unlisten();
        (onEnd as unknown as Partial<ProxyMethods>)[releaseProxy]?.();
        await link.call((api) => api.disconnect(connection)).catch(() => undefined); // it is gone already
        await letGo();
      },
    };
  }

  #hold(): { readonly link: WorkerLink<FetchWorkerApi>; readonly letGo: () => Promise<void> } {
    if (!this.#running || this.#running.link.ended) {
      this.#running = { link: WorkerLink.start<FetchWorkerApi>(this.#kind), holders: new Set() };
    }
    const running = this.#running;
    const { link, holders } = running;
    const holder = {};
    holders.add(holder);
    const letGo = async (): Promise<void> => {
      if (!holders.delete(holder) || holders.size > 0) return;
      if (this.#running === running) this.#running = null; // whoever comes now gets another one
      await link.call((api) => api.shutDown()).catch(() => undefined);
      link.end(new LoadError('disposed'));
    };
    return { link, letGo };
  }
}

/** That of this page. */
export const fetchHost = new FetchHost(FETCH_WORKER);
