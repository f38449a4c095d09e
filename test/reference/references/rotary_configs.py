"""Record what transformers makes of each spelling of the rotary fields: `python -m references.rotary_configs [--check]`.

A case is a config.json and, where transformers can make a rotary embedding of it, the frequencies that a sequence no longer
than `max_position_embeddings` is rotated by, and the factor on its cosines and sines.
"""

from __future__ import annotations

import argparse
import copy
import json
import sys

import torch
from transformers import AutoConfig
from transformers.models.llama.modeling_llama import LlamaRotaryEmbedding

from .paths import ROTARY_CONFIGS

_SHAPE = {"hidden_size": 128, "num_attention_heads": 4, "num_hidden_layers": 1, "intermediate_size": 64, "vocab_size": 64,
          "num_key_value_heads": 4}
_LLAMA3 = {"factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0}

#: Name, and the fields that matter; the model type is llama and `max_position_embeddings` 4096 where not said otherwise.
_CASES: tuple[tuple[str, dict], ...] = (
    ("nothing stated", {}),
    ("rope_theta as a whole number", {"rope_theta": 500000}),
    ("rope_scaling null", {"rope_theta": 5e5, "rope_scaling": None}),
    ("rope_scaling empty", {"rope_theta": 5e5, "rope_scaling": {}}),
    ("rope_parameters", {"rope_parameters": {"rope_type": "default", "rope_theta": 5e5}}),
    ("rope_parameters without a type", {"rope_parameters": {"rope_theta": 5e5}}),
    ("rope_parameters without a theta, rope_theta beside them", {"rope_parameters": {"rope_type": "default"}, "rope_theta": 5e5}),
    ("theta inside and beside", {"rope_parameters": {"rope_type": "default", "rope_theta": 3e5}, "rope_theta": 5e5}),
    ("theta inside rope_scaling", {"rope_scaling": {"type": "linear", "factor": 2.0, "rope_theta": 3e5}}),
    ("rope_scaling and rope_parameters that differ", {
        "rope_scaling": {"rope_type": "linear", "factor": 4.0},
        "rope_parameters": {"rope_type": "default", "rope_theta": 5e5},
    }),
    ("type default", {"rope_scaling": {"type": "default"}}),
    ("type linear", {"rope_scaling": {"type": "linear", "factor": 2.0}}),
    ("type and rope_type that differ", {"rope_scaling": {"type": "linear", "rope_type": "default", "factor": 2.0}}),
    ("linear with a whole factor of 1", {"rope_scaling": {"rope_type": "linear", "factor": 1}}),
    ("dynamic", {"rope_scaling": {"type": "dynamic", "factor": 4.0}}),
    ("dynamic, factor 2.7", {"rope_theta": 5e5, "rope_scaling": {"rope_type": "dynamic", "factor": 2.7}}),
    ("dynamic in rope_parameters, qwen2", {
        "model_type": "qwen2", "rope_parameters": {"rope_type": "dynamic", "factor": 8.0, "rope_theta": 1e6},
    }),
    ("yarn, factor 1", {"rope_scaling": {"type": "yarn", "factor": 1.0, "original_max_position_embeddings": 4096}}),
    ("yarn, factor 1, another original length", {
        "rope_scaling": {"rope_type": "yarn", "factor": 1.0, "original_max_position_embeddings": 512, "beta_fast": 16},
    }),
    ("yarn, factor 1, mscale", {"rope_scaling": {"rope_type": "yarn", "factor": 1.0, "mscale": 0.7, "mscale_all_dim": 1.3}}),
    ("yarn, factor 1, attention_factor 1", {"rope_scaling": {"rope_type": "yarn", "factor": 1.0, "attention_factor": 1.0}}),
    ("yarn, factor null, length not stretched", {
        "rope_scaling": {"rope_type": "yarn", "factor": None, "original_max_position_embeddings": 4096},
    }),
    ("yarn, factor null, length stretched", {
        "rope_scaling": {"rope_type": "yarn", "factor": None, "original_max_position_embeddings": 1024},
    }),
    ("yarn, factor 1, attention_factor 1.2", {"rope_scaling": {"rope_type": "yarn", "factor": 1.0, "attention_factor": 1.2}}),
    ("yarn, factor 4", {"rope_scaling": {"type": "yarn", "factor": 4.0, "original_max_position_embeddings": 1024}}),
    ("yarn, factor 4, mistral", {
        "model_type": "mistral", "rope_scaling": {"type": "yarn", "factor": 4.0, "original_max_position_embeddings": 1024},
    }),
    ("longrope", {"rope_scaling": {
        "type": "longrope", "short_factor": [1.0] * 16, "long_factor": [2.0] * 16, "original_max_position_embeddings": 1024,
    }}),
    ("proportional", {"rope_scaling": {"rope_type": "proportional", "factor": 2.0}}),
    ("llama3, original length inside", {
        "rope_scaling": {"rope_type": "llama3", **_LLAMA3, "original_max_position_embeddings": 512}, "rope_theta": 5e5,
    }),
    ("llama3, original length beside", {
        "rope_scaling": {"rope_type": "llama3", **_LLAMA3}, "original_max_position_embeddings": 512, "rope_theta": 5e5,
    }),
    ("llama3, original length inside and beside", {
        "rope_scaling": {"rope_type": "llama3", **_LLAMA3, "original_max_position_embeddings": 1024},
        "original_max_position_embeddings": 512, "rope_theta": 5e5,
    }),
    ("llama3, original length nowhere", {"rope_scaling": {"rope_type": "llama3", **_LLAMA3}, "rope_theta": 5e5}),
    ("a type that nobody knows", {"rope_scaling": {"rope_type": "spiral", "factor": 2.0}}),
)


def record() -> str:
    cases = []
    for name, fields in _CASES:
        config = {"model_type": "llama", "max_position_embeddings": 4096, **_SHAPE, **fields}
        expected = None
        try:
            # transformers writes into the dictionaries that it is given.
            read = AutoConfig.for_model(**copy.deepcopy(config))
            # All three families have this class, under names of their own.
            rotary = LlamaRotaryEmbedding(read)
            last = torch.tensor([[read.max_position_embeddings - 1]])
            rotary(torch.zeros(1), last)  # which is where "dynamic" would change its frequencies
            expected = {"frequencies": rotary.inv_freq.tolist(), "attentionFactor": rotary.attention_scaling}
        except (KeyError, TypeError, ValueError) as error:
            print(f"{name}: transformers refuses it: {error!r}", file=sys.stderr)
        cases.append({"name": name, "config": config, "expected": expected})
    return json.dumps(cases, indent=1) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="compare with the committed file, write nothing")
    fresh = record()
    if not parser.parse_args().check:
        ROTARY_CONFIGS.write_text(fresh)
    elif ROTARY_CONFIGS.read_text() != fresh:
        sys.exit(f"{ROTARY_CONFIGS.name} is different")


if __name__ == "__main__":
    main()
