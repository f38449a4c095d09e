/**
 * Sees how large the runtime's WASM heap is: onnxruntime-web neither exports its memory nor tells its size.
 *
 * {@link watchWasmMemory} must be called before the runtime is imported. Its threaded builds, the only ones there are,
 * create their memory in JavaScript, by `new WebAssembly.Memory` in this worker's scope; another build would show nothing,
 * and {@link wasmHeapBytes} be null.
 */

const memories: WebAssembly.Memory[] = [];
let watching = false;

/** Remembers every memory that is created in this scope from now on. */
export function watchWasmMemory(): void {
  if (watching) return;
  watching = true;
  const scope = WebAssembly as { Memory: typeof WebAssembly.Memory };
  scope.Memory = class extends WebAssembly.Memory {
    constructor(descriptor: WebAssembly.MemoryDescriptor) {
      super(descriptor);
      memories.push(this); // a heap lives as long as its worker: nothing is kept alive that would go
    }
  };
}

/** Bytes of the memories seen so far; null where none was. */
export function wasmHeapBytes(): number | null {
  return memories.length === 0 ? null : memories.reduce((sum, { buffer }) => sum + buffer.byteLength, 0);
}
