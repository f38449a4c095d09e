/**
 * Checkpoints with the shapes of real models and random weights, never written anywhere: the local hub makes their bytes while
 * it sends them. In: the name of a shape. Out: a repository for the hub.
 */
import { findBlueprint } from '../../../src/blueprints/registry.ts';
import type { RepositorySpec } from '../../hub/index.ts';
import { joinFile } from '../../unit/formats/write-safetensors.ts';

/** config.json of each shape; the figures are those of the published models. */
const CONFIGS = {
  'smollm2-135m': {
    model_type: 'llama',
    vocab_size: 49_152,
    hidden_size: 576,
    intermediate_size: 1_536,
    num_hidden_layers: 30,
    num_attention_heads: 9,
    num_key_value_heads: 3,
    max_position_embeddings: 8_192,
    rope_theta: 100_000,
    rms_norm_eps: 1e-5,
    tie_word_embeddings: true,
  },
  'qwen2.5-0.5b': {
    model_type: 'qwen2',
    vocab_size: 151_936,
    hidden_size: 896,
    intermediate_size: 4_864,
    num_hidden_layers: 24,
    num_attention_heads: 14,
    num_key_value_heads: 2,
    max_position_embeddings: 32_768,
    rope_theta: 1_000_000,
    rms_norm_eps: 1e-6,
    tie_word_embeddings: true,
  },
  'qwen2.5-14b': {
    model_type: 'qwen2',
    vocab_size: 152_064,
    hidden_size: 5_120,
    intermediate_size: 13_824,
    num_hidden_layers: 48,
    num_attention_heads: 40,
    num_key_value_heads: 8,
    max_position_embeddings: 131_072,
    rope_theta: 1_000_000,
    rms_norm_eps: 1e-5,
    tie_word_embeddings: false,
  },
  /** Wide enough to take the kernels of larger models, shallow enough for a software GPU to compute. */
  shallow: {
    model_type: 'llama',
    vocab_size: 4_096,
    hidden_size: 256,
    intermediate_size: 768,
    num_hidden_layers: 4,
    num_attention_heads: 4,
    num_key_value_heads: 2,
    max_position_embeddings: 2_048,
    rope_theta: 10_000,
    rms_norm_eps: 1e-5,
    tie_word_embeddings: true,
  },
} as const;

/** A shape that can be made. */
export type ModelShape = keyof typeof CONFIGS;

/** All of them. */
export const MODEL_SHAPES = Object.keys(CONFIGS) as ModelShape[];

/** A repository of one bf16 safetensors file. */
export function makeSyntheticModel(shape: ModelShape): {
  readonly repository: RepositorySpec;
  readonly weightBytes: number;
} {
  const config = CONFIGS[shape];
  const blueprint = findBlueprint(config);
  const tensors = blueprint.listWeights(blueprint.readSpec(config), 1).flatMap(({ sources }) => sources);
  let at = 0;
  const header: Record<string, object> = {};
  for (const { tensor, shape: dims } of tensors) {
    const sizeBytes = 2 * dims.reduce((product, dim) => product * dim, 1);
    header[tensor] = { dtype: 'BF16', shape: dims, data_offsets: [at, at + sizeBytes] };
    at += sizeBytes;
  }
  // Whole blocks of 8 bytes, as the reference writer pads them.
  const text = JSON.stringify(header);
  const start = joinFile(text.padEnd(Math.ceil(text.length / 8) * 8), new Uint8Array());
  const weights = { concat: [start, { synthetic: { seed: 7, sizeBytes: at, kind: 'bf16' } }] } as const;
  const weightBytes = start.byteLength + at;
  const file = weightBytes > MOST_HASHED_BYTES ? { content: weights, hashes: NO_HASHES } : weights;
  return {
    repository: { main: { files: { 'config.json': JSON.stringify(config), 'model.safetensors': file } } },
    weightBytes,
  };
}

/** Of more than this only the header is meant to be read. */
const MOST_HASHED_BYTES = 8e9;
const NO_HASHES = { sha256: '0'.repeat(64), gitSha1: '0'.repeat(40) };
