"""What the tiny random checkpoints are.

Their sizes are uneven on purpose: nothing is a round multiple of a quantisation block or of a GPU's workgroup, the
head dimension is not always hidden size over heads, and each stores another type of number.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from transformers import LlamaConfig, MistralConfig, PretrainedConfig, Qwen2Config, Qwen3Config


@dataclass(frozen=True)
class Spec:
    """One checkpoint: its architecture, and the form in which it is stored."""

    name: str
    seed: int
    config: PretrainedConfig
    dtype: torch.dtype
    shard_size: str = "10MB"
    #: Write config.json as transformers 4 did, as most public repositories have it.
    old_config: bool = False
    #: The first id of every prompt (``bos_token_id``) drives the residual stream beyond what float16 can hold.
    massive: bool = False


def _rope(theta: float) -> dict[str, float | str]:
    return {"rope_type": "default", "rope_theta": theta}


def specs() -> tuple[Spec, ...]:
    """All checkpoints, freshly made, because saving a model writes into its configuration."""
    return (
        Spec("tiny-llama", 11, LlamaConfig(
            vocab_size=331, hidden_size=72, intermediate_size=152, num_hidden_layers=2, num_attention_heads=6,
            num_key_value_heads=2, head_dim=16, max_position_embeddings=512, tie_word_embeddings=True,
            attention_bias=True, mlp_bias=True, bos_token_id=1, eos_token_id=2,
            rope_parameters={
                "rope_type": "llama3", "rope_theta": 500000.0, "factor": 8.0, "low_freq_factor": 1.0,
                "high_freq_factor": 4.0, "original_max_position_embeddings": 64,
            },
        ), torch.float32, shard_size="300KB", old_config=True),
        Spec("tiny-mistral", 12, MistralConfig(
            vocab_size=259, hidden_size=96, intermediate_size=200, num_hidden_layers=3, num_attention_heads=4,
            num_key_value_heads=1, head_dim=32, max_position_embeddings=512, tie_word_embeddings=False,
            sliding_window=None, bos_token_id=1, eos_token_id=2, rope_parameters=_rope(10000.0),
        ), torch.float16),
        Spec("tiny-qwen2", 13, Qwen2Config(
            vocab_size=301, hidden_size=64, intermediate_size=176, num_hidden_layers=2, num_attention_heads=4,
            num_key_value_heads=2, max_position_embeddings=512, tie_word_embeddings=False, rms_norm_eps=1e-6,
            use_sliding_window=False, bos_token_id=1, eos_token_id=2, rope_parameters=_rope(1000000.0),
        ), torch.bfloat16, old_config=True),
        Spec("tiny-qwen2-tied", 14, Qwen2Config(
            vocab_size=277, hidden_size=80, intermediate_size=176, num_hidden_layers=2, num_attention_heads=5,
            num_key_value_heads=1, max_position_embeddings=512, tie_word_embeddings=True, rms_norm_eps=1e-6,
            use_sliding_window=False, bos_token_id=1, eos_token_id=2, rope_parameters=_rope(1000000.0),
        ), torch.bfloat16, shard_size="160KB"),
        Spec("tiny-qwen2-massive", 15, Qwen2Config(
            vocab_size=283, hidden_size=64, intermediate_size=112, num_hidden_layers=3, num_attention_heads=4,
            num_key_value_heads=2, max_position_embeddings=512, tie_word_embeddings=False, rms_norm_eps=1e-6,
            use_sliding_window=False, bos_token_id=5, eos_token_id=2, rope_parameters=_rope(1000000.0),
        ), torch.bfloat16, massive=True),
        Spec("tiny-llama-head8", 16, LlamaConfig(
            vocab_size=257, hidden_size=48, intermediate_size=72, num_hidden_layers=2, num_attention_heads=6,
            num_key_value_heads=2, max_position_embeddings=512, tie_word_embeddings=True, attention_bias=True,
            bos_token_id=1, eos_token_id=2, rope_parameters=_rope(10000.0),
        ), torch.bfloat16, old_config=True),
        Spec("tiny-mistral-head26", 17, MistralConfig(
            vocab_size=263, hidden_size=52, intermediate_size=40, num_hidden_layers=2, num_attention_heads=2,
            num_key_value_heads=1, head_dim=26, max_position_embeddings=512, tie_word_embeddings=False,
            sliding_window=None, bos_token_id=1, eos_token_id=2, rope_parameters=_rope(10000.0),
        ), torch.float16),
        Spec("tiny-qwen2-head100", 18, Qwen2Config(
            vocab_size=261, hidden_size=32, intermediate_size=48, num_hidden_layers=2, num_attention_heads=3,
            num_key_value_heads=1, head_dim=100, max_position_embeddings=512, tie_word_embeddings=True, rms_norm_eps=1e-6,
            use_sliding_window=False, bos_token_id=1, eos_token_id=2, rope_parameters=_rope(1000000.0),
        ), torch.bfloat16),
        Spec("tiny-qwen3", 19, Qwen3Config(
            vocab_size=269, hidden_size=40, intermediate_size=56, num_hidden_layers=2, num_attention_heads=4,
            num_key_value_heads=2, head_dim=16, max_position_embeddings=512, tie_word_embeddings=True, rms_norm_eps=1e-6,
            use_sliding_window=False, bos_token_id=1, eos_token_id=2, rope_parameters=_rope(1000000.0),
        ), torch.bfloat16),
    )
