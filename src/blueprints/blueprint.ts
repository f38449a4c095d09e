/**
 * What a model family brings: how to read its config.json, which weights its graph has and where they come from, and
 * the graph itself. No I/O; no knowledge of safetensors, devices or runtimes.
 */
import type { CacheSpec } from '../contract/caches.ts';
import type { DecoderSpec } from '../contract/decoder-spec.ts';
import type { ComputedTable, Gaps, LoadPlan } from '../contract/plan.ts';

/** What a weight is for: decides how each dtype encodes it. */
export type WeightRole = 'embedding' | 'lmHead' | 'tiedEmbedding' | 'matmul' | 'bias' | 'norm' | 'headNorm' | 'rotary';

/** A checkpoint tensor that a weight is made from, with the shape that config.json implies. */
export interface SourceSpec {
  readonly tensor: string;
  /** The tensor that serves instead where `tensor` is not saved. */
  readonly orElse?: string;
  readonly shape: readonly number[];
  /** Zeros that the weight has between the tensor's rows and columns. */
  readonly padding?: { readonly rows: Gaps | null; readonly cols: Gaps | null };
}

/** One weight of the graph, before its bytes or its encoding are known. A vector has rows = 1. */
export interface WeightSpec {
  readonly name: string;
  readonly role: WeightRole;
  readonly rows: number;
  readonly cols: number;
  /** Stacked by rows in this order. */
  readonly sources: readonly SourceSpec[];
  readonly computed: ComputedTable | null;
  /** The layer that it belongs to; null for what stands outside of the layers. */
  readonly layer: number | null;
}

/** How the graph takes its weights. */
export type WeightBinding = 'inputs' | 'initializers';

/** All that a graph depends on. */
export interface GraphRequest {
  readonly spec: DecoderSpec;
  readonly weights: LoadPlan['weights'];
  readonly caches: readonly CacheSpec[];
  readonly activationType: LoadPlan['activationType'];
  readonly binding: WeightBinding;
  /** Which layers, in their order; all of them for a whole model. */
  readonly layers: readonly number[];
  /** Whether it begins with token ids; otherwise with hidden states. */
  readonly hasEmbedding: boolean;
  /** Whether it ends with logits; otherwise with hidden states. */
  readonly hasHead: boolean;
}

/** One model family. */
export interface Blueprint {
  /** The `model_type` values that it serves. */
  readonly modelTypes: readonly string[];
  /** @throws LoadError `config_invalid`, `unsupported_architecture` */
  readSpec(config: Readonly<Record<string, unknown>>): DecoderSpec;
  /** Every weight of the graph, in graph order; tables that are computed have `contextTokens` rows. */
  listWeights(spec: DecoderSpec, contextTokens: number): readonly WeightSpec[];
  /** What the graph keeps from run to run, in graph order; `type` is that of its activations. */
  listCaches(spec: DecoderSpec, type: CacheSpec['type']): readonly CacheSpec[];
  /** ONNX bytes with no weights in them. */
  buildGraph(request: GraphRequest): Uint8Array<ArrayBuffer>;
}
