/**
 * A response body, gathered into pieces that are worth a write.
 *
 * In: a body. Out: pieces of up to 1 MiB, or what has come in 100 ms, so that a slow line loses little
 * to a crash and progress moves. Each write costs a system call, a message to the hash worker and an entry in the account.
 * Guarantees: when a read fails, what arrived before it is still there to be taken; buffers come from the pool, and go
 * on to whoever takes a piece.
 */
import { BufferPool } from '../../base/buffer-pool.ts';

/** Where the buffers of all connections come from. Whoever is done with what {@link BodyReader.take} yielded gives it back. */
export function createBodyBuffers(): BufferPool {
  // Dropping some only to make them anew leaves a garbage of megabytes.
  return new BufferPool(PIECE_BYTES, MAX_IDLE_BUFFERS);
}

const PIECE_BYTES = 1024 * 1024;

/** Those that wait for the hash and come back all at once, and some that came before their turn. */
const MAX_IDLE_BUFFERS = 16;

/** What one read brought is worth a write of its own from here on; less of it is copied together. */
const OWN_PIECE_BYTES = 256 * 1024;

const GATHER_MS = 100;

/** See the file's header. */
export class BodyReader {
  readonly #source: ByteSource;
  readonly #pool: BufferPool;
  readonly #limitBytes: number;
  #piece: ArrayBuffer;
  #lengthBytes = 0;
  #isOwnPiece = false;
  #sinceMs = 0;
  #rest: Uint8Array = new Uint8Array();

  /** `limitBytes`: pieces are no larger, whatever the pool's buffers hold. */
  constructor(body: ReadableStream<Uint8Array<ArrayBuffer>>, pool: BufferPool, limitBytes: number) {
    this.#source = openSource(body, pool);
    this.#pool = pool;
    this.#limitBytes = Math.min(limitBytes, pool.sizeBytes);
    this.#piece = pool.take();
  }

  /** Bytes that {@link take} would yield. */
  get gatheredBytes(): number {
    return this.#lengthBytes;
  }

  /** Whether the piece should be taken now; a full one must be. */
  get isDue(): boolean {
    const full = this.#lengthBytes === this.#limitBytes;
    return full || this.#isOwnPiece || (this.#lengthBytes > 0 && performance.now() - this.#sinceMs > GATHER_MS);
  }

  /** Waits for bytes, to be gathered next; yields how many came from the network, null at the end. */
  async read(): Promise<number | null> {
    const bytes = await this.#source.read();
    if (bytes === null) return null;
    this.#rest = bytes;
    return bytes.byteLength;
  }

  /** Moves what was read into the piece, as far as it goes; when the piece was taken, the rest. */
  gather(): void {
    if (this.#lengthBytes === 0) {
      if (this.#adopt()) return;
      this.#sinceMs = performance.now();
    }
    const count = Math.min(this.#rest.byteLength, this.#limitBytes - this.#lengthBytes);
    new Uint8Array(this.#piece, this.#lengthBytes).set(this.#rest.subarray(0, count));
    this.#lengthBytes += count;
    this.#rest = this.#rest.subarray(count);
  }

  /** The piece: the start of a buffer that is the taker's from now on, all of it. */
  take(): Uint8Array<ArrayBuffer> {
    const piece = new Uint8Array(this.#piece, 0, this.#lengthBytes);
    this.#lengthBytes = 0;
    this.#isOwnPiece = false;
    this.#piece = this.#pool.take();
    return piece;
  }

  /** Makes a large read the piece, without a copy: the next read gets the piece's empty buffer. */
  #adopt(): boolean {
    const { byteLength, byteOffset } = this.#rest;
    if (byteOffset !== 0 || byteLength < OWN_PIECE_BYTES || byteLength > this.#limitBytes) return false;
    const buffer = this.#source.exchange(this.#piece);
    if (!buffer) return false;
    this.#piece = buffer;
    this.#lengthBytes = byteLength;
    this.#isOwnPiece = true;
    this.#rest = new Uint8Array();
    return true;
  }

  /** Ends the body; what was gathered can still be taken, once. */
  async close(): Promise<void> {
    await this.#source.cancel();
  }

  /** Gives the buffers back; nothing can be taken after it. */
  release(): void {
    this.#pool.give(this.#piece);
  }
}

interface ByteSource {
  read(): Promise<Uint8Array | null>;
  /** The buffer that was read into last, for another one; null where it is not ours to give. */
  exchange(buffer: ArrayBuffer): ArrayBuffer | null;
  cancel(): Promise<void>;
}

/** Reading into one buffer again and again takes half the time of being given a new one each time. */
function openSource(body: ReadableStream<Uint8Array<ArrayBuffer>>, pool: BufferPool): ByteSource {
  let reader: ReadableStreamBYOBReader;
  try {
    reader = body.getReader({ mode: 'byob' });
  } catch {
    return openDefaultSource(body); // a browser whose bodies are no byte streams
  }
  let buffer = pool.take();
  return {
    async read() {
      const { value } = await reader.read(new Uint8Array(buffer));
      if (value) buffer = value.buffer;
      return value && value.byteLength > 0 ? value : null;
    },
    exchange(next) {
      const last = buffer;
      buffer = next;
      return last;
    },
    async cancel() {
      await reader.cancel().catch(() => undefined);
      pool.give(buffer); // which a failed read has taken with it: the pool sees that
    },
  };
}

function openDefaultSource(body: ReadableStream<Uint8Array<ArrayBuffer>>): ByteSource {
  const reader = body.getReader();
  return {
    async read() {
      for (;;) {
        const { value, done } = await reader.read();
        if (done) return null;
        if (value.byteLength > 0) return value;
      }
    },
    exchange: () => null,
    cancel: () => reader.cancel().catch(() => undefined),
  };
}
