"""Small vocabularies that are no tokenizer.json, trained here: SentencePiece models, and byte pairs as GPT-2 has them."""

from __future__ import annotations

import io
import json
from functools import cache
from typing import Any

import sentencepiece

from .tokenizer_repositories import base_tokenizer

TEXTS: tuple[str, ...] = (
    "", "the cat sat", " the cat", "the  cat   sat ", "caf\u00e9 \u00fcber", "\u4f60\u597d cat", "a\tb\nc\r\n d", "\U0001f43e paw", "\u2581under", "e\u0301",
    "<s>the cat</s> sat", "x<|user|>  the cat\n<|user|>mat", "THE Cat\u2026 \uff21\uff22", "12345 cats", "\n\n\nthe", "<0x41> </s>",
)

_WORDS = ["the cat sat on the mat", "cats and mats, 12 cats", "caf\u00e9 \u00fcber the user", "so the user sat\u2026", "a hat, a bat, a rat"]


@cache
def train(**options: Any) -> bytes:
    """A model as the bytes of its file."""
    model = io.BytesIO()
    defaults = {"vocab_size": 320, "num_threads": 1, "minloglevel": 2, "hard_vocab_limit": False}
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(_WORDS * 20), model_writer=model, **{**defaults, **options}
    )
    return model.getvalue()


def spm_models() -> dict[str, tuple[bytes, dict[str, Any]]]:
    """Name -> model file and tokenizer_config.json."""
    plain = {"normalization_rule_name": "identity", "remove_extra_whitespaces": False, "byte_fallback": True}
    llama = train(model_type="bpe", **plain)
    gemma = train(
        model_type="bpe", add_dummy_prefix=False, user_defined_symbols="<|user|>,\n\n,\n,  ", bos_id=2, eos_id=1, unk_id=3, pad_id=0,
        **plain,
    )
    unigram = train(model_type="unigram", vocab_size=80, normalization_rule_name="identity")
    user = {"added_tokens_decoder": {str(id): _token(text) for id, text in enumerate(("<unk>", "<s>", "</s>"))}}
    return {
        "as Llama": (llama, {"tokenizer_class": "LlamaTokenizer", "add_bos_token": True, "add_eos_token": False, **user}),
        "as Llama, legacy": (
            llama, {"tokenizer_class": "LlamaTokenizer", "add_bos_token": True, "add_eos_token": True, "legacy": True, **user}
        ),
        "as Llama, with a token added": (
            llama,
            {"tokenizer_class": "LlamaTokenizer", "legacy": False,
             "added_tokens_decoder": {**user["added_tokens_decoder"], "320": _token("<|user|>")}},
        ),
        "as Gemma": (gemma, {"tokenizer_class": "GemmaTokenizer", "add_bos_token": True}),
        "with user defined pieces": (gemma, {"tokenizer_class": "PreTrainedTokenizerFast"}),
        "byte pairs of no class": (llama, {}),
        "unigram of no class": (unigram, {}),
    }


def byte_pairs() -> dict[str, tuple[str, str, dict[str, Any]]]:
    """Class of transformers -> vocab.json, merges.txt and tokenizer_config.json."""
    model = json.loads(base_tokenizer())["model"]
    vocab = json.dumps(model["vocab"], ensure_ascii=False)
    merges = "#version: 0.2\n" + "".join(f"{left} {right}\n" for left, right in model["merges"])
    end = {"added_tokens_decoder": {"276": _token("<|endoftext|>"), "277": _token("<|user|>")}}
    return {
        "GPT2Tokenizer": (vocab, merges, {"add_bos_token": True, **end}),
        "Qwen2Tokenizer": (vocab, merges, {"pad_token": "<|endoftext|>", **end}),
    }


def _token(content: str) -> dict[str, Any]:
    return {"content": content, "lstrip": False, "normalized": False, "rstrip": False, "single_word": False, "special": True}
