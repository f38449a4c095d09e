"""Batches of whole documents, padded to the longest of each batch."""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterator

import torch
from transformers import PreTrainedTokenizerFast

from .corpus import documents
from .tokenizer import CONTEXT, encode

_IGNORED = -100
_POOL = 512


def encoded(tokenizer: PreTrainedTokenizerFast, seed: int) -> Iterator[list[int]]:
    """The ids of one document after another, without end."""
    for document in documents(seed):
        ids = encode(tokenizer, document)
        if len(ids) <= CONTEXT:
            yield ids


def pad(rows: list[list[int]]) -> tuple[torch.Tensor, torch.Tensor]:
    """Ids and labels of equal length. Padding comes last, where a causal model never looks at it."""
    width = max(map(len, rows))
    ids = torch.zeros((len(rows), width), dtype=torch.long)
    labels = torch.full((len(rows), width), _IGNORED)
    for index, row in enumerate(rows):
        ids[index, : len(row)] = torch.tensor(row)
        labels[index, : len(row)] = torch.tensor(row)
    return ids, labels


def batches(
    tokenizer: PreTrainedTokenizerFast, seed: int, tokens: int
) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """Batches of about `tokens` ids. Documents of like length go together, so that little of it is padding."""
    rng = random.Random(seed)
    stream = encoded(tokenizer, seed)
    while True:
        pool = sorted(itertools.islice(stream, _POOL), key=len)
        groups: list[list[list[int]]] = [[]]
        for row in pool:
            if groups[-1] and (len(groups[-1]) + 1) * len(row) > tokens:
                groups.append([])
            groups[-1].append(row)
        rng.shuffle(groups)
        yield from map(pad, groups)
