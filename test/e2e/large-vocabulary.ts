/**
 * A repository whose embedding is far larger than all else in it: much memory, little to compute.
 */
import type { ContentSpec, RepositorySpec } from '../hub/index.ts';

/** One layer of 96 under a vocabulary of 360,000: 138 MB in float32, 35 MB in blocks of 8 bits, and little to compute. */
export function makeLargeVocabulary(): RepositorySpec {
  const [hidden, vocab, intermediate] = [96, 360_000, 128];
  const config = {
    model_type: 'llama',
    hidden_act: 'silu',
    hidden_size: hidden,
    intermediate_size: intermediate,
    num_hidden_layers: 1,
    num_attention_heads: 3,
    num_key_value_heads: 1,
    max_position_embeddings: 256,
    tie_word_embeddings: true,
    vocab_size: vocab,
    eos_token_id: null,
  };
  const layer = 'model.layers.0';
  const tensors: readonly (readonly [string, readonly number[]])[] = [
    [`${layer}.input_layernorm.weight`, [hidden]],
    [`${layer}.post_attention_layernorm.weight`, [hidden]],
    ['model.norm.weight', [hidden]],
    [`${layer}.self_attn.q_proj.weight`, [hidden, hidden]],
    [`${layer}.self_attn.k_proj.weight`, [hidden / 3, hidden]],
    [`${layer}.self_attn.v_proj.weight`, [hidden / 3, hidden]],
    [`${layer}.self_attn.o_proj.weight`, [hidden, hidden]],
    [`${layer}.mlp.gate_proj.weight`, [intermediate, hidden]],
    [`${layer}.mlp.up_proj.weight`, [intermediate, hidden]],
    [`${layer}.mlp.down_proj.weight`, [hidden, intermediate]],
    ['model.embed_tokens.weight', [vocab, hidden]],
  ];
  let at = 0;
  const header: Record<string, unknown> = {};
  const contents: ContentSpec[] = tensors.map(([name, shape], index) => {
    const sizeBytes = 2 * shape.reduce((product, dim) => product * dim, 1);
    header[name] = { dtype: 'BF16', shape, data_offsets: [at, at + sizeBytes] };
    at += sizeBytes;
    // Norms of 1; the rest pseudo-random, around ±0.04.
    return shape.length === 1
      ? new Uint8Array(new Uint16Array(sizeBytes / 2).fill(0x3f80).buffer)
      : { synthetic: { seed: index, sizeBytes, kind: 'bf16' } };
  });
  const json = new TextEncoder().encode(JSON.stringify(header));
  const length = new Uint8Array(new BigUint64Array([BigInt(json.length)]).buffer);
  return {
    main: {
      files: { 'config.json': JSON.stringify(config), 'model.safetensors': { concat: [length, json, ...contents] } },
    },
  };
}
