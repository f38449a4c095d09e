/**
 * The hash of a file that is being written: in this thread for small files, in a worker of its own for large ones, because
 * hashing and writing cost about the same and would halve each other's speed.
 *
 * In: the file's bytes in order. Out: its state after a known number of bytes, and its digest. Bytes handed over are no
 * longer the caller's. Guarantees: `save` describes exactly the bytes pushed before it was called; a worker that
 * dies is noticed, fails the hashes that it had, and is replaced for the next one.
 */
import { transfer, wrap } from 'comlink';
import type { Remote } from 'comlink';
import type { BufferPool } from '../base/buffer-pool.ts';
import { holdForLife, watchLife } from '../base/life-lock.ts';
import { isLoadError, LoadError } from '../contract/errors.ts';
import type { ContentHash } from '../contract/snapshot.ts';
import { createStreamHash } from './hashing.ts';
import type { StreamHash } from './hashing.ts';
import type { HashState } from './journal.ts';

/** See the file's header. */
export interface FileHasher {
  /** Bytes handed over so far, from the file's start. */
  readonly pushedBytes: number;
  /** Of these, not hashed yet. */
  readonly pendingBytes: number;
  /** Once this is set, nothing is hashed any more; `save` and `digest` reject with it. */
  readonly failure: LoadError | null;
  /** Called whenever less is pending than before. */
  onDrain: (() => void) | null;
  push(bytes: Uint8Array<ArrayBuffer>): void;
  save(): Promise<HashState>;
  /** Lower-case hex, once all is hashed. The hasher is spent. */
  digest(): Promise<string>;
  /** Forgets the hash. */
  close(): void;
}

/** A hasher in this thread. */
export async function createLocalHasher(
  algorithm: ContentHash['algorithm'],
  sizeBytes: number,
  saved: HashState | null,
  buffers: BufferPool,
): Promise<FileHasher> {
  return new LocalHasher(await createStreamHash(algorithm, sizeBytes, saved), buffers);
}

/**
 * Makes hashers; one a fetch worker. Also keeps the account of bytes that wait in memory for their turn to be hashed,
 * over all files: above it they are read from the disk again, which costs half as much as writing them did.
 */
export class HasherFactory {
  #keptBytes = 0;
  readonly #createWorker: () => Worker;
  readonly #buffers: BufferPool;
  #running: { readonly api: Remote<HashEngine>; end(): void } | null = null;
  #nextId = 1;
  readonly #onFailure = new Set<(error: LoadError) => void>();

  /** Buffers go back to `buffers` once they are hashed. */
  constructor(createWorker: () => Worker, buffers: BufferPool) {
    this.#createWorker = createWorker;
    this.#buffers = buffers;
  }

  /** Starts the worker before it is needed: its module takes a moment to load. */
  warmUp(): void {
    this.#start();
  }

  /** A hasher that goes on from `saved` as far as that fits. */
  async create(algorithm: ContentHash['algorithm'], sizeBytes: number, saved: HashState | null): Promise<FileHasher> {
    if (sizeBytes < WORKER_FROM_BYTES) {
      return createLocalHasher(algorithm, sizeBytes, saved, this.#buffers);
    }
    const api = this.#start();
    const id = this.#nextId++;
    let forget = (): void => undefined;
    const failure = new Promise<never>((_, reject) => {
      this.#onFailure.add(reject);
      forget = () => void this.#onFailure.delete(reject);
    });
    failure.catch(() => undefined);
    try {
      const startBytes = await Promise.race([api.open(id, algorithm, sizeBytes, saved), failure]);
      return new RemoteHasher(api, { id, startBytes, failure, buffers: this.#buffers, onClose: forget });
    } catch (error) {
      forget();
      throw error;
    }
  }

  /** Whether so many early bytes may be kept in memory; if so, `giveBack` them. */
  keep(sizeBytes: number): boolean {
    if (this.#keptBytes + sizeBytes > MAX_KEPT_BYTES) return false;
    this.#keptBytes += sizeBytes;
    return true;
  }

  giveBack(sizeBytes: number): void {
    this.#keptBytes -= sizeBytes;
  }

  dispose(): void {
    this.#end('The fetch worker was shut down.');
  }

  #start(): Remote<HashEngine> {
    if (this.#running) return this.#running.api;
    const worker = this.#createWorker();
    const api = wrap<HashEngine>(worker);
    const watch = new AbortController();
    const { signal } = watch;
    const running = {
      api,
      end: (): void => {
        watch.abort();
        worker.terminate();
      },
    };
    this.#running = running;
    const onDeath = (message: string): void => {
      if (this.#running === running) this.#end(message);
    };
    const onError = (event: ErrorEvent): void => {
      event.preventDefault(); // else it counts as an error of the worker that started this one
      onDeath(event.message);
    };
    worker.addEventListener('error', onError, { signal });
    worker.addEventListener('messageerror', () => onDeath('A message could not be read.'), { signal });
    const lifeLock = `firstlight:hash-worker:${crypto.randomUUID()}`;
    api.start(lifeLock).then(
      (isHeld) => isHeld && watchLife(lifeLock, signal, () => onDeath('Its worker ended without a word.')),
      (error: unknown) => onDeath(String(error)),
    );
    return api;
  }

  #end(message: string): void {
    this.#running?.end();
    this.#running = null;
    const error = new LoadError('worker_died', { message: `Hashing stopped. ${message}`, retryable: true });
    for (const reject of this.#onFailure) reject(error);
    this.#onFailure.clear();
  }
}

/** On a line that is so fast that this is soon full, few connections bring little before its turn. */
const MAX_KEPT_BYTES = 4 * 1024 * 1024;

/** A message to a worker costs more than hashing a small file. */
const WORKER_FROM_BYTES = 1024 * 1024;

/** The hash worker's side: many hashes at once, by id. */
export class HashEngine {
  readonly #hashes = new Map<number, StreamHash>();

  /** Lives from now on, as {@link holdForLife} has it. */
  start(lifeLock: string): Promise<boolean> {
    return holdForLife(lifeLock);
  }

  /** How many bytes the hash has seen already. */
  async open(
    id: number,
    algorithm: ContentHash['algorithm'],
    sizeBytes: number,
    saved: HashState | null,
  ): Promise<number> {
    const hash = await createStreamHash(algorithm, sizeBytes, saved);
    this.#hashes.set(id, hash);
    return hash.hashedBytes;
  }

  /** Yields the buffer, for the next bytes. */
  update(id: number, bytes: Uint8Array<ArrayBuffer>): ArrayBuffer {
    this.#get(id).update(bytes);
    return transfer(bytes.buffer, [bytes.buffer]);
  }

  save(id: number): HashState {
    return this.#get(id).save();
  }

  digest(id: number): string {
    return this.#get(id).digest();
  }

  close(id: number): void {
    this.#hashes.delete(id);
  }

  #get(id: number): StreamHash {
    const hash = this.#hashes.get(id);
    if (!hash) throw new LoadError('internal', { message: `There is no hash ${id}.` });
    return hash;
  }
}

class LocalHasher implements FileHasher {
  readonly pendingBytes = 0;
  readonly failure = null;
  onDrain: (() => void) | null = null;
  readonly #hash: StreamHash;
  readonly #buffers: BufferPool;

  constructor(hash: StreamHash, buffers: BufferPool) {
    this.#hash = hash;
    this.#buffers = buffers;
  }

  get pushedBytes(): number {
    return this.#hash.hashedBytes;
  }

  push(bytes: Uint8Array<ArrayBuffer>): void {
    this.#hash.update(bytes);
    this.#buffers.give(bytes.buffer);
  }

  async save(): Promise<HashState> {
    return this.#hash.save();
  }

  async digest(): Promise<string> {
    return this.#hash.digest();
  }

  close(): void {}
}

interface RemoteHasherParts {
  readonly id: number;
  readonly startBytes: number;
  readonly failure: Promise<never>;
  readonly buffers: BufferPool;
  /** Nobody waits for its failure any more. */
  readonly onClose: () => void;
}

class RemoteHasher implements FileHasher {
  pushedBytes: number;
  pendingBytes = 0;
  failure: LoadError | null = null;
  onDrain: (() => void) | null = null;
  readonly #api: Remote<HashEngine>;
  readonly #id: number;
  readonly #failure: Promise<never>;
  readonly #buffers: BufferPool;
  readonly #onClose: () => void;

  constructor(api: Remote<HashEngine>, parts: RemoteHasherParts) {
    this.#api = api;
    this.#id = parts.id;
    this.#failure = parts.failure;
    this.#buffers = parts.buffers;
    this.#onClose = parts.onClose;
    this.pushedBytes = parts.startBytes;
    // Whoever waits for the hash to swallow something must not wait for a dead one.
    parts.failure.catch((error: unknown) => {
      this.failure = isLoadError(error) ? error : new LoadError('internal', { cause: error });
      this.pendingBytes = 0;
      this.onDrain?.();
    });
  }

  push(bytes: Uint8Array<ArrayBuffer>): void {
    const { byteLength } = bytes;
    this.pushedBytes += byteLength;
    if (this.failure) {
      this.#buffers.give(bytes.buffer);
      return;
    }
    this.pendingBytes += byteLength;
    const settle = (buffer: unknown): void => {
      if (this.failure) return;
      this.pendingBytes -= byteLength;
      if (buffer instanceof ArrayBuffer) this.#buffers.give(buffer);
      this.onDrain?.();
    };
    // A failure shows in `save` and `digest`, which come behind it on the same port.
    this.#api.update(this.#id, transfer(bytes, [bytes.buffer])).then(settle, settle);
  }

  async save(): Promise<HashState> {
    return Promise.race([this.#api.save(this.#id), this.#failure]);
  }

  async digest(): Promise<string> {
    return Promise.race([this.#api.digest(this.#id), this.#failure]);
  }

  close(): void {
    this.onDrain = null;
    this.#onClose();
    this.#api.close(this.#id).catch(() => undefined);
  }
}
