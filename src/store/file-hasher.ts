/**
 * The hash of a file that is being written: in this thread for small files, in a worker of its own for large ones, because
 * hashing and writing cost about the same and would halve each other's speed.
 *
 * In: the file's bytes in order. Out: its state after a known number of bytes, and its digest. Bytes handed over are no
 * longer the caller's. Guarantees: `save` describes exactly the bytes pushed before it was called; a worker that
 * dies is noticed, fails the hashes that it had, and is replaced for the next one.
 */
import { transfer } from 'comlink';
import type { BufferPool } from '../base/buffer-pool.ts';
import { explainEnd, WorkerLink } from '../base/worker-link.ts';
import type { WorkerEnd } from '../base/worker-link.ts';
import { LoadError } from '../contract/errors.ts';
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
  readonly #startWorker: (name: string) => Worker;
  readonly #buffers: BufferPool;
  #link: WorkerLink<HashEngine> | null = null;
  #nextId = 1;

  /** Buffers go back to `buffers` once they are hashed. */
  constructor(startWorker: (name: string) => Worker, buffers: BufferPool) {
    this.#startWorker = startWorker;
    this.#buffers = buffers;
  }

  /** Starts the worker before it is needed: its module takes a moment to load. */
  warmUp(): void {
    this.#connect();
  }

  /** A hasher that goes on from `saved` as far as that fits. @throws LoadError `worker_died`, `blocked_by_policy` */
  async create(algorithm: ContentHash['algorithm'], sizeBytes: number, saved: HashState | null): Promise<FileHasher> {
    if (sizeBytes < WORKER_FROM_BYTES) {
      return createLocalHasher(algorithm, sizeBytes, saved, this.#buffers);
    }
    const link = this.#connect();
    const id = this.#nextId++;
    const startBytes = await link.call((api) => api.open(id, algorithm, sizeBytes, saved));
    return new RemoteHasher(link, { id, startBytes, buffers: this.#buffers });
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
    this.#link?.end(explain({ message: 'The fetch worker was shut down.', hasStarted: true }));
    this.#link = null;
  }

  /** The worker of now: another one where there is none yet, or none any more. */
  #connect(): WorkerLink<HashEngine> {
    if (this.#link === null || this.#link.ended) {
      this.#link = WorkerLink.start<HashEngine>({
        namePrefix: 'firstlight:hash-worker:',
        start: this.#startWorker,
        explain,
      });
    }
    return this.#link;
  }
}

function explain({ message, ...end }: WorkerEnd): LoadError {
  return explainEnd({ ...end, message: `Hashing stopped. ${message}` });
}

/** On a line that is so fast that this is soon full, few connections bring little before its turn. */
const MAX_KEPT_BYTES = 4 * 1024 * 1024;

/** A message to a worker costs more than hashing a small file. */
const WORKER_FROM_BYTES = 1024 * 1024;

/** The hash worker's side: many hashes at once, by id. */
export class HashEngine {
  readonly #hashes = new Map<number, StreamHash>();

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
  readonly buffers: BufferPool;
}

class RemoteHasher implements FileHasher {
  pushedBytes: number;
  onDrain: (() => void) | null = null;
  readonly #link: WorkerLink<HashEngine>;
  readonly #id: number;
  readonly #buffers: BufferPool;
  #pendingBytes = 0;

  constructor(link: WorkerLink<HashEngine>, { id, startBytes, buffers }: RemoteHasherParts) {
    this.#link = link;
    this.#id = id;
    this.#buffers = buffers;
    this.pushedBytes = startBytes;
  }

  get failure(): LoadError | null {
    return this.#link.ended;
  }

  /** Nobody has to wait for a dead one to swallow something. */
  get pendingBytes(): number {
    return this.failure ? 0 : this.#pendingBytes;
  }

  push(bytes: Uint8Array<ArrayBuffer>): void {
    const { byteLength } = bytes;
    this.pushedBytes += byteLength;
    if (this.failure) {
      this.#buffers.give(bytes.buffer);
      return;
    }
    this.#pendingBytes += byteLength;
    const settle = (buffer: unknown): void => {
      this.#pendingBytes -= byteLength;
      if (buffer instanceof ArrayBuffer) this.#buffers.give(buffer);
      this.onDrain?.();
    };
    // A failure shows in `save` and `digest`, which come behind it on the same port.
    this.#link.call((api) => api.update(this.#id, transfer(bytes, [bytes.buffer]))).then(settle, settle);
  }

  save(): Promise<HashState> {
    return this.#link.call((api) => api.save(this.#id));
  }

  digest(): Promise<string> {
    return this.#link.call((api) => api.digest(this.#id));
  }

  close(): void {
    this.onDrain = null;
    this.#link.call((api) => api.close(this.#id)).catch(() => undefined);
  }
}
