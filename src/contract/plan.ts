/**
 * What stage 2 (plan) yields: everything that later stages do, decided from a few kilobytes.
 *
 * Plain data. A plan names every byte that will be read, what it becomes and where it goes; the stages after it
 * look nothing up again.
 */

import type { CacheSpec } from './caches.ts';
import type { DecoderSpec } from './decoder-spec.ts';

/** The number format a model is loaded in. `q8` and `q4` are blocks of 32 with one float scale each. */
export type Dtype = 'fp32' | 'fp16' | 'q8' | 'q4' | 'q4f16';

/** What runs the model. */
export type Device = 'webgpu' | 'wasm';

/** A number format that checkpoints are read from, whatever their files call it (`formats/codecs`). */
export type CodecId = 'f32' | 'f16' | 'bf16';

/** How one weight is laid out after stage 5 (fill). */
export type WeightEncoding = 'f32' | 'f16' | 'q8' | 'q4';

/** Element type of a graph tensor, in onnxruntime's words. */
export type GraphTensorType = 'float32' | 'float16' | 'uint8' | 'int32' | 'int64';

/** Values per quantisation block along the columns (MatMulNBits `block_size`). */
export const QUANT_BLOCK_SIZE = 32;

/** One weight buffer: a graph input on WebGPU, an initializer on WASM. */
export interface WeightBuffer {
  /** What is in it: plain values, or blocks of quantised values, or the blocks' scales. */
  readonly role: 'values' | 'blocks' | 'scales';
  /** Unique, e.g. `layers.0.attn.qkv.blocks`. */
  readonly name: string;
  readonly type: GraphTensorType;
  readonly sizeBytes: number;
}

/**
 * A tensor that the graph declares over a weight buffer. Usually one a buffer; a tied, quantised embedding is
 * declared twice over the same bytes, because its two consumers want different dims.
 */
export interface GraphTensor {
  readonly name: string;
  readonly type: GraphTensorType;
  readonly dims: readonly number[];
  /** The {@link WeightBuffer} that holds its bytes. */
  readonly buffer: string;
}

/**
 * How a graph reads a weight. Plain: one tensor of values. Quantised: `blocks` and `scales` where a matrix is multiplied with,
 * `gather` (the same bytes in other dims) and `scales` where its rows are looked up; both where it is tied.
 */
export type WeightTensors =
  | { readonly values: GraphTensor }
  | { readonly blocks: GraphTensor | null; readonly gather: GraphTensor | null; readonly scales: GraphTensor };

/** Zeros that a weight has between the rows (or columns) of its source: after every `run` of them come `zeros` more. */
export interface Gaps {
  readonly run: number;
  readonly zeros: number;
}

/** How a source lies in its weight where heads are padded. */
export interface SourcePadding {
  /** Null where no rows, or no columns, are added. */
  readonly rows: Gaps | null;
  readonly cols: Gaps | null;
  /** Rows of the weight that the source takes, zeros included. */
  readonly rowCount: number;
  /** The first of these, counted from where the whole tensor begins: 0 unless the weight is a part. */
  readonly firstRow: number;
}

/** A tensor in a checkpoint's file, or some of its rows where a weight is in parts. */
export interface TensorSource {
  readonly file: string;
  readonly tensor: string;
  readonly codec: CodecId;
  /** Of the rows that are meant: the tensor's own, unless it is cut. */
  readonly shape: readonly number[];
  /** Byte range in the file, half-open. */
  readonly start: number;
  readonly end: number;
  /** Set where the weight has zeros between the values of the source. */
  readonly padding?: SourcePadding;
}

/** Which rows of a larger weight a part is. All parts of a weight but the last have the same number of rows. */
export interface WeightPart {
  /** Name of the whole weight, e.g. `embed`. */
  readonly of: string;
  /** Row of the whole weight that the part begins with. */
  readonly firstRow: number;
}

/** A table that no file holds: cosines or sines of one of {@link DecoderSpec.rotary}. */
export interface ComputedTable {
  readonly kind: 'rotary-cos' | 'rotary-sin';
  readonly rotary: string;
}

/**
 * One weight of the model as the graph uses it: a matrix [rows, cols] (a vector has rows = 1), assembled from one or
 * more checkpoint tensors stacked by rows (q, k and v become one matrix), then encoded. A matrix that no single buffer of
 * the device holds is planned as several weights, its parts by rows, `embed.part0`, `embed.part1`, and so on.
 */
export interface PlannedWeight {
  /** e.g. `layers.0.attn.qkv`. */
  readonly name: string;
  readonly rows: number;
  readonly cols: number;
  readonly encoding: WeightEncoding;
  /** Stacked by rows in this order. Empty for computed weights. */
  readonly sources: readonly TensorSource[];
  /**
   * What stage 5 writes. f32, f16: one buffer of rows × cols values. q8, q4: blocks and scales, rows × ceil(cols / 32)
   * blocks of 32 or 16 bytes, and one scale a block.
   */
  readonly buffers: readonly WeightBuffer[];
  /** What the graph declares over these buffers. */
  readonly tensors: WeightTensors;
  /**
   * Set for tables that no file holds: rotary cosines and sines, [tokens, paddedHeadDim / 2]. On a GPU they have `contextTokens` rows
   * and grow with the cache; on WASM, where weights are constants, `maxContextTokens` rows.
   */
  readonly computed: ComputedTable | null;
  /** Set for a part, null for a whole weight. */
  readonly part: WeightPart | null;
  /** The layer that it belongs to; null for what stands outside of the layers. */
  readonly layer: number | null;
}

/** What a plan costs, in bytes, known before any weight byte is fetched. */
export interface PlanCosts {
  readonly parameterCount: number;
  /** Size of the weight files as the repository holds them. */
  readonly downloadBytes: number;
  /** Of these, already in the cache: of complete files, and of files whose download a load would go on with. */
  readonly cachedBytes: number;
  /** What the weight files take in the cache in all; 0 where nothing is kept ({@link LoadPlan.storage}). */
  readonly diskBytes: number;
  /** Sum of all weight buffers after encoding. */
  readonly weightBytes: number;
  /** Of these, scales of quantised blocks. */
  readonly scaleBytes: number;
  readonly kvBytesPerToken: number;
  readonly kvCacheBytes: number;
  /** All {@link LoadPlan.stateSnapshots} together. */
  readonly stateSnapshotBytes: number;
  /** An estimate of the most that intermediate values take at once, in a prefill of up to 512 tokens. */
  readonly activationBytes: number;
  /** Weights, KV cache, copies of states and activations: what the device must hold. */
  readonly deviceBytes: number;
}

/** What one dtype would take on the plan's device, and whether it fits there. */
export interface DtypeFit {
  /** All parameters in the dtype's nominal width (4, 2, 1 or half a byte), before scales and what stays wider. */
  readonly parameterBytes: number;
  /** Sum of all weight buffers, scales included. */
  readonly weightBytes: number;
  /** Weights, KV cache, copies of states and activations. */
  readonly deviceBytes: number;
  /** As {@link LoadPlan.longestContextTokens}. */
  readonly longestContextTokens: number;
  /** Why it does not fit; null where nothing that is known beforehand speaks against it. */
  readonly obstacle: string | null;
}

/** What the plan went by. */
export interface PlannedLimits {
  /** No GPU buffer of the plan is larger. */
  readonly maxBufferBytes: number;
  /** Whether that was asked for, to see how a model loads on a smaller device, and is not the adapter's own limit. */
  readonly simulated: boolean;
}

/** The file that a tokenizer is made from: its own, a SentencePiece model, or byte pairs (with merges.txt). */
export type TokenizerSource = 'tokenizer.json' | 'tokenizer.model' | 'vocab.json';

/** Where a load's files lie while it needs them, and afterwards. */
export interface PlannedStorage {
  /**
   * `cache`: they are kept, verified, and the next load reads them from there. `inPlace`: a folder on this computer, read where
   * it lies. `none`: they go from the network straight onto the device; the next load downloads them again.
   */
  readonly kind: 'cache' | 'inPlace' | 'none';
  /** Why it is so, in a sentence. */
  readonly reason: string;
}

/** Sizes of what a graph takes and gives besides weights and caches. */
export interface GraphSizes {
  /** Values of a row of logits: one for each token of the vocabulary. */
  readonly vocabSize: number;
  /** Values of a row of hidden states. */
  readonly hiddenSize: number;
}

/** The complete plan of a load. */
export interface LoadPlan {
  readonly modelId: string;
  readonly revision: string;
  readonly commit: string;
  /** The model as data: what weights, caches and graph follow from. */
  readonly spec: DecoderSpec;
  readonly sizes: GraphSizes;
  readonly dtype: Dtype;
  /** Why this dtype: repeats the request, or says what 'auto' went by. */
  readonly dtypeReason: string;
  readonly device: Device;
  readonly deviceReason: string;
  /** The GPU's limits that the plan keeps to; null on WASM. */
  readonly limits: PlannedLimits | null;
  /** Tokens, prompt and answer together, that the KV cache has room for from the beginning: reserved, and part of the costs. */
  readonly contextTokens: number;
  /**
   * Tokens that the KV cache may grow to by itself, in steps, as conversations need it and the device has room;
   * {@link contextTokens} where it does not grow.
   */
  readonly maxContextTokens: number;
  /** Why these: repeats the request, or says what shortened it. */
  readonly contextReason: string;
  /** The most that may be asked for here: what the checkpoint was made for, or less where the device's limits are lower. */
  readonly longestContextTokens: number;
  /**
   * Conversations whose keys and values are kept at once, the running one included. Those besides it take
   * {@link PlanCosts.kvCacheBytes} each on top of {@link PlanCosts.deviceBytes}, where the device has room.
   */
  readonly conversations: number;
  /**
   * Copies that are kept of states that cannot be cut back, each at another position (see `CacheSpec.canRewind`); 0 where every
   * cache can be cut back.
   */
  readonly stateSnapshots: number;
  /** Number format of activations, and of what is kept of them from run to run. */
  readonly activationType: 'float32' | 'float16';
  /** What the model keeps from run to run, in the order of its graph. */
  readonly caches: readonly CacheSpec[];
  /** What the tokenizer is made from; null for a model that takes token ids only. */
  readonly tokenizer: TokenizerSource | null;
  /** Why: repeats the request, or says what the repository has. */
  readonly tokenizerReason: string;
  /** The checkpoint's files that hold at least one needed tensor, in file order. */
  readonly weightFiles: readonly { readonly path: string; readonly sizeBytes: number }[];
  /** Where the files lie: whether the next load finds them. */
  readonly storage: PlannedStorage;
  /** In graph order. */
  readonly weights: readonly PlannedWeight[];
  /** Tensors in the files that the graph does not use, each with the reason it may be left out. */
  readonly unusedTensors: readonly { readonly tensor: string; readonly reason: string }[];
  /** What whoever published the model should know: where the checkpoint says other than config.json, and which was followed. */
  readonly notices: readonly string[];
  readonly costs: PlanCosts;
  /** The same model in every dtype. */
  readonly dtypes: Readonly<Record<Dtype, DtypeFit>>;
}
