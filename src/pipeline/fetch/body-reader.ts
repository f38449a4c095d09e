/**
 * A response body, gathered into pieces that are worth a write.
 *
 * In: a body. Out: pieces of {@link PIECE_BYTES}, or what has come in {@link GATHER_MS}, so that a slow line loses little
 * to a crash and progress moves. Each write costs a system call, a message to the hash worker and an entry in the account.
 * Guarantees: when a read fails, what arrived before it is still there to be taken; buffers come from the pool, and go
 * on to whoever takes a piece.
 */
import type { BufferPool } from '../../base/buffer-pool.ts';

/** Of a piece; the pool's buffers have this size. */
export const PIECE_BYTES = 1024 * 1024;

/** What one read brings at most. A browser loses the buffer of a read that fails, so it reads beside the piece. */
const READ_BYTES = 256 * 1024;

const GATHER_MS = 100;

/** See the file's header. */
export class BodyReader {
  readonly #source: ByteSource;
  readonly #pool: BufferPool;
  readonly #limitBytes: number;
  #piece: ArrayBuffer;
  #lengthBytes = 0;
  #sinceMs = 0;
  #rest: Uint8Array = new Uint8Array();

  /** `limitBytes`: pieces are no larger, whatever the pool's buffers hold. */
  constructor(body: ReadableStream<Uint8Array<ArrayBuffer>>, pool: BufferPool, limitBytes: number) {
    this.#source = openSource(body);
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
    return full || (this.#lengthBytes > 0 && performance.now() - this.#sinceMs > GATHER_MS);
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
    if (this.#lengthBytes === 0) this.#sinceMs = performance.now();
    const count = Math.min(this.#rest.byteLength, this.#limitBytes - this.#lengthBytes);
    new Uint8Array(this.#piece, this.#lengthBytes).set(this.#rest.subarray(0, count));
    this.#lengthBytes += count;
    this.#rest = this.#rest.subarray(count);
  }

  /** The piece, in a buffer of its own. */
  take(): Uint8Array<ArrayBuffer> {
    const length = this.#lengthBytes;
    this.#lengthBytes = 0;
    // A part of a buffer cannot be handed to another thread without the rest of it.
    if (length < this.#pool.sizeBytes) return new Uint8Array(this.#piece.slice(0, length));
    const whole = new Uint8Array(this.#piece);
    this.#piece = this.#pool.take();
    return whole;
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
  cancel(): Promise<void>;
}

/** Reading into one buffer again and again takes half the time of being given a new one each time. */
function openSource(body: ReadableStream<Uint8Array<ArrayBuffer>>): ByteSource {
  let reader: ReadableStreamBYOBReader;
  try {
    reader = body.getReader({ mode: 'byob' });
  } catch {
    return openDefaultSource(body); // a browser whose bodies are no byte streams
  }
  let buffer = new ArrayBuffer(READ_BYTES);
  return {
    async read() {
      const { value } = await reader.read(new Uint8Array(buffer));
      if (!value || value.byteLength === 0) return null;
      buffer = value.buffer;
      return value;
    },
    cancel: () => reader.cancel().catch(() => undefined),
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
    cancel: () => reader.cancel().catch(() => undefined),
  };
}
