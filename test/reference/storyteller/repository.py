"""Writes model, tokenizer and card as a Hugging Face repository."""

from __future__ import annotations

import json
from pathlib import Path

from transformers import GenerationConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from .tokenizer import CHAT_TEMPLATE, CONTEXT, END_OF_TURN

#: Small enough for several shards, so that the bundled model takes the same path as a big one.
SHARD_SIZE = "1500KB"


def _write_tokenizer(folder: Path, tokenizer: PreTrainedTokenizerFast) -> None:
    """Write the two files every tokenizer library reads.

    The configuration is written by hand: `save_pretrained` names a class and puts the chat template into a file that
    older libraries do not know.
    """
    tokenizer.backend_tokenizer.save(str(folder / "tokenizer.json"))
    config = {
        "add_bos_token": True,
        "bos_token": tokenizer.bos_token,
        "chat_template": CHAT_TEMPLATE,
        "clean_up_tokenization_spaces": False,
        "eos_token": tokenizer.eos_token,
        "model_max_length": CONTEXT,
        "pad_token": tokenizer.pad_token,
        "tokenizer_class": "PreTrainedTokenizerFast",
        "unk_token": tokenizer.unk_token,
    }
    (folder / "tokenizer_config.json").write_text(json.dumps(config, indent=2) + "\n")


def write_repository(folder: Path, model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast, card: str) -> None:
    """Write everything into `folder`, weights in bfloat16 and `card` as its README.md."""
    folder.mkdir(parents=True, exist_ok=True)
    ends = [tokenizer.eos_token_id, tokenizer.convert_tokens_to_ids(END_OF_TURN)]
    model.generation_config = GenerationConfig(
        bos_token_id=tokenizer.bos_token_id, eos_token_id=ends, pad_token_id=tokenizer.pad_token_id,
        do_sample=True, temperature=0.8, top_k=40, top_p=0.95, max_new_tokens=300,
    )
    model.bfloat16().save_pretrained(folder, max_shard_size=SHARD_SIZE)
    _write_tokenizer(folder, tokenizer)
    (folder / "README.md").write_text(card)
