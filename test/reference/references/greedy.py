"""Greedy decoding that also says how sure it was."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from transformers import PreTrainedModel


@dataclass(frozen=True)
class Greedy:
    """New ids after a prompt, with the smallest gap between best and second-best logit on the way."""

    ids: list[int]
    min_gap: float


@torch.no_grad()
def decode(model: PreTrainedModel, prompt: list[int], count: int, ends: frozenset[int] = frozenset()) -> Greedy:
    """At most `count` new ids; the first of `ends` is the last of them."""
    ids: list[int] = []
    gaps: list[float] = []
    fed, cache = prompt, None
    while len(ids) < count and not (ids and ids[-1] in ends):
        output = model(input_ids=torch.tensor([fed]), past_key_values=cache, use_cache=True)
        best = output.logits[0, -1].topk(2)
        gaps.append((best.values[0] - best.values[1]).item())
        fed, cache = [int(best.indices[0])], output.past_key_values
        ids += fed
    return Greedy(ids, min(gaps))
