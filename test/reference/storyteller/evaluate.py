"""How well the model predicts stories and conversations it has not seen."""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass

import torch
from transformers import LlamaForCausalLM, PreTrainedTokenizerFast

from .batches import pad
from .corpus import HELD_OUT_SEED, Document, documents
from .tokenizer import encode

_DOCUMENTS = 400
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
    held_out = list(itertools.islice(documents(HELD_OUT_SEED), _DOCUMENTS))
    stories = [document for document in held_out if isinstance(document, str)]
    chats = [document for document in held_out if not isinstance(document, str)]
    return Perplexity(_perplexity(model, tokenizer, stories), _perplexity(model, tokenizer, chats))
