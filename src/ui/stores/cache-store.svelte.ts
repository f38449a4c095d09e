/**
 * The cache as the page shows it: what is in it, how much room there is, and what is being done to it.
 *
 * In: a loader's cache. Out: runes that components read. Guarantees: one action at a time; the list is read again after each,
 * whether it succeeded or not; an answer that was overtaken by a newer one is dropped; every action ends in a message, a
 * result or an error.
 */
import type { CacheEntry, CacheUsage, VerifyProgress, VerifyResult } from '../../contract/cache.ts';
import { isLoadError, toErrorData, type LoadErrorData } from '../../contract/errors.ts';
import { describeCheck, describeRemoval, entryKey, entryName } from '../cache-words.ts';
import type { LoaderHost } from './loader-host.ts';

/** The key under which the check of everything stands, beside those of entries. */
export const ALL = 'all';

/** What is being done, and to which entry. */
export interface CacheTask {
  readonly type: 'verify' | 'delete' | 'pin' | 'persist';
  /** An {@link entryKey}, or {@link ALL}. */
  readonly key: string;
}

/** A sentence for the page's live region. */
interface CacheMessage {
  readonly text: string;
  readonly shown: boolean;
}

const NO_MESSAGE: CacheMessage = { text: '', shown: false };

const GRANTED = 'The browser keeps the cache until you delete it.';
const REFUSED =
  'The browser did not agree: it may delete the cache when the disk is short. A bookmark or an installed app can change that.';

/** The page's view of the cache. */
export class CacheStore {
  /** Undefined until the first answer. */
  entries = $state.raw<readonly CacheEntry[] | undefined>(undefined);
  usage = $state.raw<CacheUsage | null>(null);
  error = $state.raw<LoadErrorData | null>(null);
  /** What the last action did, in a sentence; told only, where the page shows it in another place anyway. */
  message = $state.raw(NO_MESSAGE);
  task = $state.raw<CacheTask | null>(null);
  progress = $state.raw<VerifyProgress | null>(null);
  /** The latest check of each entry. */
  checks = $state.raw<Readonly<Record<string, VerifyResult>>>({});

  readonly busy = $derived(this.task !== null);

  readonly #host: LoaderHost;
  #controller: AbortController | null = null;
  #failed: (() => Promise<void>) | null = null;
  #question = 0;

  constructor(host: LoaderHost) {
    this.#host = host;
  }

  /** Reads list and usage again; what is shown stays until the answer is there. */
  async refresh(): Promise<void> {
    const question = ++this.#question;
    try {
      const { cache } = this.#host.current;
      const [entries, usage] = await Promise.all([cache.list(), cache.usage()]);
      if (question !== this.#question) return;
      this.entries = entries;
      this.usage = usage;
      const keys = [ALL, ...entries.map(entryKey)];
      this.checks = Object.fromEntries(Object.entries(this.checks).filter(([key]) => keys.includes(key)));
    } catch (error) {
      // Another hub in the form ended the loader that was asked: the new one is asked at the next occasion.
      if (question !== this.#question || isEnded(error)) return;
      this.#fail(error, () => this.refresh());
    }
  }

  /** Checks the hashes of one entry's files, or of all. */
  async verify(entry: CacheEntry | null): Promise<void> {
    const key = entry === null ? ALL : entryKey(entry);
    const controller = new AbortController();
    await this.#run(
      { type: 'verify', key },
      async () => {
        this.#controller = controller;
        this.#forgetCheck(key);
        const result = await this.#host.current.cache.verify(entry ?? undefined, {
          signal: controller.signal,
          onProgress: (progress) => (this.progress = progress),
        });
        this.checks = { ...this.checks, [key]: result };
        const text = `${entry === null ? 'All models' : entryName(entry)}: ${describeCheck(result)}`;
        return { text, shown: false };
      },
      () => this.verify(entry),
    );
  }

  /** Stops a check. What it found damaged until then is gone already. */
  cancelVerify(): void {
    this.#controller?.abort();
  }

  async setPinned(entry: CacheEntry, pinned: boolean): Promise<void> {
    await this.#run(
      { type: 'pin', key: entryKey(entry) },
      async () => {
        const found = await this.#host.current.cache.pin(entry, pinned);
        const what = pinned ? 'is pinned: it stays when room is short' : 'is no longer pinned';
        return toMessage(found ? `${entryName(entry)} ${what}.` : `${entryName(entry)} is no longer there.`);
      },
      () => this.setPinned(entry, pinned),
    );
  }

  async delete(entry: CacheEntry): Promise<void> {
    await this.#run(
      { type: 'delete', key: entryKey(entry) },
      async () => {
        return toMessage(describeRemoval(await this.#host.current.cache.delete(entry)));
      },
      () => this.delete(entry),
    );
  }

  async deleteAll(): Promise<void> {
    await this.#run(
      { type: 'delete', key: ALL },
      async () => {
        return toMessage(describeRemoval(await this.#host.current.cache.clear()));
      },
      () => this.deleteAll(),
    );
  }

  /** Asks the browser to keep the cache; it may ask the person. */
  async persist(): Promise<void> {
    await this.#run(
      { type: 'persist', key: ALL },
      async () => {
        const granted = await this.#host.current.cache.persist();
        return toMessage(granted ? GRANTED : REFUSED);
      },
      () => this.persist(),
    );
  }

  /** Does again what failed. */
  async retry(): Promise<void> {
    const failed = this.#failed;
    this.error = null;
    await failed?.();
  }

  /** What `work` yields is said when the list is up to date and the next thing can be asked for. */
  async #run(task: CacheTask, work: () => Promise<CacheMessage>, again: () => Promise<void>): Promise<void> {
    if (this.busy) return;
    this.task = task;
    this.error = null;
    this.message = NO_MESSAGE;
    let message = NO_MESSAGE;
    try {
      message = await work();
    } catch (error) {
      if (isAborted(error)) message = toMessage('The check was cancelled.');
      else this.#fail(error, again);
    } finally {
      this.#controller = null;
      this.progress = null;
      await this.refresh();
      this.task = null;
    }
    this.message = message;
  }

  #forgetCheck(key: string): void {
    this.checks = Object.fromEntries(Object.entries(this.checks).filter(([other]) => other !== key));
  }

  #fail(error: unknown, again: () => Promise<void>): void {
    this.error = toErrorData(error);
    this.#failed = again;
  }
}

function toMessage(text: string): CacheMessage {
  return { text, shown: true };
}

function isAborted(error: unknown): boolean {
  return isLoadError(error) && error.code === 'aborted';
}

function isEnded(error: unknown): boolean {
  return isLoadError(error) && error.code === 'disposed';
}
