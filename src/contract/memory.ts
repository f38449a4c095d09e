/**
 * What a loaded model holds in memory. Plain data.
 */

/** What a GPU buffer is for. `runtime` is whatever onnxruntime created for itself. */
export type BufferPurpose = 'weights' | 'kvCache' | 'staging' | 'runtime';

/** The buffers of one GPU device, counted as they are created and destroyed. */
export interface GpuMemory {
  readonly liveBytes: number;
  readonly peakBytes: number;
  readonly liveBuffers: number;
  readonly liveBytesByPurpose: Readonly<Record<BufferPurpose, number>>;
}

/** What a placed model holds, on its device. */
export interface DeviceMemory {
  /** The model's own device; all zeros once that is lost. Null on WebAssembly. */
  readonly gpu: GpuMemory | null;
  /** Tokens of one conversation that there is room for now; it grows as conversations need it, up to `Model.info.maxContextTokens`. */
  readonly contextTokens: number;
  /** Conversations that keep their keys and values at once, the running one included: fewer where a longer one took the room. */
  readonly conversations: number;
}

/** What a model holds now; see `Model.memory()`. */
export interface MemoryUse extends DeviceMemory {
  /**
   * Size of the runtime's heap, which the models of one loader share: it grows and never shrinks, so that what counts is
   * whether it goes on growing. Null where the browser does not let it be seen.
   */
  readonly wasmHeapBytes: number | null;
}
