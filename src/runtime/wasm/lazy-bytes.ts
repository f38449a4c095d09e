/**
 * A Uint8Array whose bytes are made when they are asked for: external data for onnxruntime without a copy of the model.
 *
 * The runtime reads mounted external data through two members only, `byteLength` and `subarray(start, end)`, once per
 * initializer (twice for one of a few bytes), in every build. That is undocumented: `test/unit/runtime/lazy-bytes.test.ts`
 * proves it with a session over such arrays, and every load on WebAssembly in a browser depends on it.
 */

/** Bytes of which `read(start, end)` makes the part that is wanted; `sizeBytes` long. */
export class LazyBytes extends Uint8Array {
  readonly #sizeBytes: number;
  readonly #read: (start: number, end: number) => Uint8Array;

  constructor(sizeBytes: number, read: (start: number, end: number) => Uint8Array) {
    super(0);
    this.#sizeBytes = sizeBytes;
    this.#read = read;
    // A class cannot override `byteLength` (TypeScript sees a property where the platform has an accessor).
    Object.defineProperty(this, 'byteLength', { get: () => this.#sizeBytes });
  }

  override subarray(start = 0, end = this.#sizeBytes): Uint8Array<ArrayBuffer> {
    return this.#read(start, end) as Uint8Array<ArrayBuffer>;
  }
}
