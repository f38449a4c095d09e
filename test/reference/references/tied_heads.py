"""Record which head transformers gives a model for each way of saving it: `python -m references.tied_heads [--check]`.

A case is what config.json says of `tie_word_embeddings` and which of the two tensors the file holds. The outcome is which of
the two serves as the embedding and which as the head; null where transformers would draw one at random.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from pathlib import Path

import torch
from safetensors.torch import save_file
from transformers import AutoConfig, AutoModelForCausalLM

from .paths import TIED_HEADS

_SHAPE = {"hidden_size": 32, "num_attention_heads": 2, "num_key_value_heads": 2, "num_hidden_layers": 1,
          "intermediate_size": 64, "vocab_size": 48, "max_position_embeddings": 64}
_EMBEDDING, _HEAD = "model.embed_tokens.weight", "lm_head.weight"


def _saved(kind: str, tensors: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """The tensors of a case; `kind` says which of embedding and head are among them."""
    other = {name: tensor for name, tensor in tensors.items() if name not in (_EMBEDDING, _HEAD)}
    embedding = tensors[_EMBEDDING]
    last_row = embedding.clone()
    last_row[-1] += 1
    held = {
        "both, equal": {_EMBEDDING: embedding, _HEAD: embedding.clone()},
        "both, different": {_EMBEDDING: embedding, _HEAD: torch.flip(embedding, [0])},
        "both, different in the last row": {_EMBEDDING: embedding, _HEAD: last_row},
        "embedding only": {_EMBEDDING: embedding},
        "head only": {_HEAD: embedding},
        "neither": {},
    }
    return other | held[kind]


def _outcome(folder: Path) -> dict[str, str | None]:
    model, info = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, output_loading_info=True)
    saved = {name: tensor.float() for name, tensor in _read(folder).items()}
    missing = set(info["missing_keys"])

    def name_of(weight: torch.Tensor, own: str) -> str | None:
        if own in missing:
            return None
        return next(name for name in (own, _EMBEDDING, _HEAD) if name in saved and torch.equal(saved[name], weight))

    embedding, head = model.get_input_embeddings().weight, model.get_output_embeddings().weight
    return {
        "embedding": name_of(embedding, _EMBEDDING),
        "head": _EMBEDDING if head is embedding and _EMBEDDING in saved else name_of(head, _HEAD),
        "tied": head is embedding,
    }


def _read(folder: Path) -> dict[str, torch.Tensor]:
    from safetensors.torch import load_file

    return load_file(folder / "model.safetensors")


def record() -> str:
    cases = []
    for model_type in ("llama", "mistral", "qwen2"):
        for tie in (True, False, None):
            kinds = ["both, equal", "both, different", "both, different in the last row", "embedding only", "head only", "neither"]
            for kind in kinds if model_type == "llama" else kinds[3:5]:
                config = {"model_type": model_type, **_SHAPE} | ({} if tie is None else {"tie_word_embeddings": tie})
                torch.manual_seed(1)
                fresh = AutoModelForCausalLM.from_config(AutoConfig.for_model(**config | {"tie_word_embeddings": False}))
                with tempfile.TemporaryDirectory() as scratch:
                    folder = Path(scratch)
                    (folder / "config.json").write_text(json.dumps(config))
                    save_file(_saved(kind, dict(fresh.state_dict())), folder / "model.safetensors", {"format": "pt"})
                    cases.append({"config": config, "saved": kind, **_outcome(folder)})
    return json.dumps(cases, indent=1) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="compare with the committed file, write nothing")
    fresh = record()
    if not parser.parse_args().check:
        TIED_HEADS.write_text(fresh)
    elif TIED_HEADS.read_text() != fresh:
        sys.exit(f"{TIED_HEADS.name} is different")


if __name__ == "__main__":
    main()
