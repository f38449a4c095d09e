/**
 * A decoder-only transformer as data: all that its weights, its caches and its graph follow from.
 *
 * A model family reads its config.json into a {@link DecoderSpec}; the parts of a graph read nothing else.
 */

/** See the file's header. */
export interface DecoderSpec {
  /** As config.json names the family. */
  readonly modelType: string;
  readonly vocabSize: number;
  readonly hiddenSize: number;
  /** In their order. Layers of the same kind are equal to each other. */
  readonly layers: readonly LayerSpec[];
  /** Behind the last layer. */
  readonly norm: NormSpec;
  readonly head: HeadSpec;
  /** By the name that attention calls it by. */
  readonly rotary: Readonly<Record<string, RotarySpec>>;
  /** The longest context that the checkpoint was made for (a sliding window shortens it: see the family). */
  readonly maxContextTokens: number;
}

/** One layer: `x + mixer(norm(x))`, then the same with the feed-forward block. */
export interface LayerSpec {
  readonly mixer: AttentionSpec;
  readonly feedForward: GatedSpec;
  /** In front of each of the two. */
  readonly norm: NormSpec;
}

/** RMS normalisation (arXiv:1910.07467). */
export interface NormSpec {
  readonly epsilon: number;
}

/** Grouped-query attention (arXiv:2305.13245) with rotary positions. */
export interface AttentionSpec {
  readonly headCount: number;
  readonly kvHeadCount: number;
  /** Values of a head, as the checkpoint has them. */
  readonly headDim: number;
  /** The same in graph and cache: what the attention kernel can take, at least {@link headDim}; what is added is zeros. */
  readonly paddedHeadDim: number;
  /** One of {@link DecoderSpec.rotary}. */
  readonly rotary: string;
  /** Of each head's query and key, before they are turned; null where there is none. */
  readonly queryKeyNorm: NormSpec | null;
  readonly biases: { readonly qkv: boolean; readonly output: boolean };
}

/** The gated feed-forward block, SwiGLU (arXiv:2002.05202). */
export interface GatedSpec {
  readonly size: number;
  readonly bias: boolean;
}

/** From hidden states to logits. */
export interface HeadSpec {
  /** Whether the token embedding is its matrix. */
  readonly tied: boolean;
}

/** A rotary embedding (RoFormer, arXiv:2104.09864), as config.json states it. */
export interface RotarySpec {
  readonly headDim: number;
  readonly paddedHeadDim: number;
  readonly theta: number;
  readonly scaling: RotaryScaling;
}

/** How its frequencies were stretched for longer contexts. */
export type RotaryScaling =
  | { readonly type: 'none' }
  | { readonly type: 'linear'; readonly factor: number }
  | {
      readonly type: 'llama3';
      readonly factor: number;
      readonly lowFreqFactor: number;
      readonly highFreqFactor: number;
      readonly originalContextTokens: number;
    };
