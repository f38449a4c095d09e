"""How well the model predicts stories and conversations it has not seen."""

from __future__ import annotations

import math
import random
from dataclasses import dataclass

import torch
from transformers import LlamaForCausalLM, PreTrainedTokenizerFast

from .batches import pad
from .chat import converse
from .corpus import HELD_OUT_SEED, Document
from .grammar import tell
from .tokenizer import encode

_DOCUMENTS = 200
_BATCH = 16


@dataclass(frozen=True)
class Perplexity:
    """Perplexity per token on held-out plain stories and on held-out conversations."""

    stories: float
    chats: float


@torch.no_grad()
def _perplexity(model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast, held_out: list[Document]) -> float:
    rows = sorted((encode(tokenizer, document) for document in held_out), key=len)
    total, count = 0.0, 0
    for start in range(0, len(rows), _BATCH):
        ids, labels = pad(rows[start : start + _BATCH])
        predicted = int((labels[:, 1:] >= 0).sum())
        total += model(input_ids=ids, labels=labels).loss.item() * predicted
        count += predicted
    return math.exp(total / count)


def held_out_perplexity(model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast) -> Perplexity:
    """Measure on documents of a seed of their own."""
    rng = random.Random(HELD_OUT_SEED)
    stories: list[Document] = [tell(rng).text for _ in range(_DOCUMENTS)]
    chats: list[Document] = [converse(rng) for _ in range(_DOCUMENTS)]
    return Perplexity(_perplexity(model, tokenizer, stories), _perplexity(model, tokenizer, chats))
