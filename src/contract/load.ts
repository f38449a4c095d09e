/**
 * What a page asks of a load and what it hears back: request, events, report, model info.
 *
 * Plain data. Invariants of the event feed: a stage starts at most once and ends at most once; `doneBytes` never falls,
 * `totalBytes` is constant within a stage; the last progress of a stage that ended has `doneBytes === totalBytes`;
 * after `ready`, `failed` or `cancelled` nothing follows. A `restart` makes void what the feed said of some stages: for those
 * the invariants hold anew from there on.
 */
import type { LoadErrorData, Stage } from './errors.ts';
import type { Device, Dtype, LoadPlan, PlannedStorage } from './plan.ts';
import type { ModelOrigin } from './snapshot.ts';

/** What may be asked of {@link Loader.plan} and {@link Loader.load}, besides the model id. */
export interface LoadRequest {
  /** The id that finds it, or the name that a folder or an address goes by. */
  readonly modelId: string;
  readonly origin: ModelOrigin;
  /** Branch, tag or commit. Default `main`. */
  readonly revision: string;
  readonly dtype: Dtype | 'auto';
  readonly device: Device | 'auto';
  /** Null: the plan chooses. */
  readonly contextTokens: number | ContextRange | null;
  /** How many conversations keep their KV cache at once, the running one included. Null: the plan chooses. */
  readonly conversations: number | null;
  /** Plan and load as on a smaller GPU. Null: as on this one. */
  readonly simulatedLimits: SimulatedLimits | null;
  /** `auto`: the repository's own, or an error before any weights; `none`: a model that takes token ids only. */
  readonly tokenizer: 'auto' | 'none';
  /** Take the last known commit and ask the network for nothing. */
  readonly offline: boolean;
  /** `navigator.maxTouchPoints` of the page, which tells an iPad from a Mac; 0 where it is not known. */
  readonly maxTouchPoints: number;
  readonly cache: CacheMode;
}

/**
 * What a load does about the cache. `auto`: uses it; where the browser gives the page no storage, or too little for the model, the
 * files go straight onto the device and are not kept. `required`: such a load fails (`storage_unavailable`, `quota_exceeded`).
 * `none`: the cache is neither read nor written. What lies in a folder on this computer is read in place, whatever this says.
 */
export type CacheMode = 'auto' | 'required' | 'none';

/**
 * How many tokens, prompt and answer together, a load makes room for. A number instead of this asks for exactly that many, which
 * are then reserved before the first weight byte is fetched, or the load fails.
 */
export interface ContextRange {
  /** Reserved by the load. Default: 2048, or `max` where that is less. */
  readonly reserve?: number | undefined;
  /**
   * What the KV cache may grow to by itself, in steps, when a conversation needs it and the device has room. Default: what the
   * checkpoint was made for.
   */
  readonly max?: number | undefined;
}

/**
 * Limits of a smaller GPU, to see on a large one how a model loads there: larger tensors are split, a longer KV cache is
 * shortened. For testing; limits above the adapter's own change nothing.
 */
export interface SimulatedLimits {
  /** Instead of `maxBufferSize` and `maxStorageBufferBindingSize`, bytes. */
  readonly maxBufferBytes: number;
}

/** One thing that happened during a load. Times are ms since the load began. */
export type LoadEvent =
  | { readonly type: 'stageStart'; readonly stage: Stage; readonly atMs: number }
  | {
      readonly type: 'progress';
      readonly stage: Stage;
      readonly atMs: number;
      readonly doneBytes: number;
      readonly totalBytes: number;
      /** Of `doneBytes`, how many crossed the network in this load (stage fetch only). */
      readonly networkBytes: number;
    }
  | { readonly type: 'stageEnd'; readonly stage: Stage; readonly atMs: number; readonly note: string | null }
  | { readonly type: 'plan'; readonly plan: PlanSummary; readonly atMs: number }
  /**
   * This stage and all behind it begin anew, in another dtype: what `dtype: 'auto'` chose turned out to give wrong values. At
   * most once in a load; the notice that follows says why.
   */
  | { readonly type: 'restart'; readonly stage: Stage; readonly atMs: number }
  | { readonly type: 'notice'; readonly stage: Stage; readonly message: string; readonly atMs: number }
  | { readonly type: 'ready'; readonly atMs: number }
  | { readonly type: 'failed'; readonly error: LoadErrorData; readonly atMs: number }
  | { readonly type: 'cancelled'; readonly atMs: number };

/** What kind of model it is, and how large. */
export interface ArchitectureSummary {
  /** As config.json names the family. */
  readonly modelType: string;
  readonly layerCount: number;
  readonly hiddenSize: number;
  readonly headCount: number;
  readonly kvHeadCount: number;
}

/** A plan without what only the stages need: what a page is given. */
export type PlanSummary = Omit<LoadPlan, 'weights' | 'caches' | 'spec'> & {
  readonly architecture: ArchitectureSummary;
  /** In how many parts a weight lies that no single buffer of the device holds, by its name. */
  readonly parts: Readonly<Record<string, number>>;
  /** Weights of the graph; one in parts counts once a part. */
  readonly weightCount: number;
  /** How weights of each encoding add up, bytes. */
  readonly bytesByEncoding: Readonly<Record<string, number>>;
};

/** Start and end of one stage, ms since the load began. */
export interface StageTiming {
  readonly stage: Stage;
  readonly startMs: number;
  readonly endMs: number;
}

/** What a load did, in numbers. */
export interface LoadReport {
  readonly modelId: string;
  readonly commit: string;
  readonly dtype: Dtype;
  readonly device: Device;
  /** Each stage once: of stages that began anew, the last run. */
  readonly stages: readonly StageTiming[];
  readonly totalMs: number;
  readonly bytes: {
    /** Of all files that the load needed, headers that were read for the plan included: what crossed the network for it. */
    readonly fromNetwork: number;
    /** And the rest: what was on disk before, or fetched by another tab meanwhile. */
    readonly fromCache: number;
    /**
     * Weights that were read as an earlier load had prepared them, instead of being read from their files and converted; 0
     * where there were none.
     */
    readonly fromPrepared: number;
    /** Written to GPU buffers, or copied into the WASM heap. */
    readonly toDevice: number;
  };
  readonly memory: {
    readonly weightBytes: number;
    /** Of one conversation, as reserved; what it has grown to since: `Model.memory()`. */
    readonly kvCacheBytes: number;
    /** That keep their keys and values at once: as many as asked for, or as the GPU had room for. */
    readonly conversations: number;
    /** The most that intermediate values take in a prefill of 512 tokens, as measured on this device; null on WASM. */
    readonly activationBytes: number | null;
    /** How many tokens of a prompt run at once, so that this stays within what was reserved; null on WASM. */
    readonly prefillChunkTokens: number | null;
    /**
     * Tokens of all conversations that fit beside weights and measured activations in what the load reserved; null on WASM.
     * Growing beyond it asks the device for more.
     */
    readonly kvBudgetTokens: number | null;
    /** All GPU buffers alive at ready, the runtime's own included; null on WASM. */
    readonly gpuBytes: number | null;
    readonly gpuPeakBytes: number | null;
  };
  readonly warmUp: {
    /** Compiling on the empty model, while the weights were on their way; null where nothing is compiled (WASM). */
    readonly skeletonMs: number | null;
    readonly prefillTokens: number;
    readonly prefillMs: number;
    readonly decodeMs: number;
    /**
     * Largest difference between the first layer on the GPU and on WebAssembly, as a share of its largest value; null where
     * it was not compared (on WebAssembly, in float16, a layer above 64 MiB or one that WebAssembly has no room for).
     */
    readonly firstLayerDifference: number | null;
    /** Largest difference from the model's own test, as a share of its spread; null where it brings none that fits. */
    readonly fixtureDifference: number | null;
  };
  readonly adapter: AdapterInfo | null;
  /** True where the network was away and the last known commit was used. */
  readonly offline: boolean;
  /** Where the files lay in the end: a cache that was found full during the download was done without. */
  readonly storage: PlannedStorage;
  readonly notices: readonly string[];
}

/** The GPU as WebGPU describes it. */
export interface AdapterInfo {
  readonly vendor: string;
  readonly architecture: string;
  readonly device: string;
  readonly description: string;
  /** Whether it computes on the CPU: the browser says so, or its name does. */
  readonly isFallbackAdapter: boolean;
  readonly features: readonly string[];
  readonly limits: Readonly<Record<string, number>>;
}

/** What a loaded model is. */
export interface ModelInfo {
  readonly modelId: string;
  readonly revision: string;
  readonly commit: string;
  readonly modelType: string;
  readonly dtype: Dtype;
  readonly device: Device;
  /** Tokens that the load made room for, as {@link LoadPlan.contextTokens}; what there is room for now: `Model.memory()`. */
  readonly contextTokens: number;
  /** Tokens that it may come to hold, as {@link LoadPlan.maxContextTokens}. */
  readonly maxContextTokens: number;
  readonly vocabSize: number;
  readonly parameterCount: number;
  readonly hasTokenizer: boolean;
  readonly hasChatTemplate: boolean;
}
