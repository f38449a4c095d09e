"""Make the whole bundled model: `python -m storyteller.train --out <folder>`.

Trains the tokenizer and the model from fixed seeds, rounds the weights to bfloat16, measures the held-out perplexity
of the rounded weights and writes a complete Hugging Face repository.
"""

from __future__ import annotations

import argparse
import math
import time
from dataclasses import dataclass
from pathlib import Path

import torch
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from .batches import batches
from .corpus import TRAIN_SEED
from .evaluate import Perplexity, held_out_perplexity
from .repository import write_repository
from .tokenizer import CONTEXT, build_tokenizer


@dataclass(frozen=True)
class Schedule:
    """How long and how fast to learn."""

    steps: int
    tokens_per_batch: int = 4096
    warmup: int = 100
    peak: float = 3e-3
    floor: float = 0.02

    def rate(self, step: int) -> float:
        """The learning rate of a step: up in a line, then down along a cosine."""
        if step < self.warmup:
            return self.peak * (step + 1) / self.warmup
        done = (step - self.warmup) / max(1, self.steps - self.warmup)
        return self.peak * (self.floor + (1 - self.floor) * 0.5 * (1 + math.cos(math.pi * done)))


def make_config(tokenizer: PreTrainedTokenizerFast) -> LlamaConfig:
    """The architecture: 2.4 million parameters."""
    return LlamaConfig(
        vocab_size=len(tokenizer), hidden_size=192, intermediate_size=512, num_hidden_layers=5,
        num_attention_heads=6, num_key_value_heads=2, head_dim=32, max_position_embeddings=CONTEXT,
        tie_word_embeddings=True, rms_norm_eps=1e-5, initializer_range=0.03,
        rope_parameters={"rope_type": "default", "rope_theta": 10000.0},
        bos_token_id=tokenizer.bos_token_id, eos_token_id=tokenizer.eos_token_id, pad_token_id=None,
    )


def make_optimizer(model: LlamaForCausalLM) -> torch.optim.AdamW:
    """AdamW that lets only matrices decay."""
    matrices = [weight for weight in model.parameters() if weight.dim() > 1]
    vectors = [weight for weight in model.parameters() if weight.dim() <= 1]
    groups = [{"params": matrices, "weight_decay": 0.1}, {"params": vectors, "weight_decay": 0.0}]
    return torch.optim.AdamW(groups, lr=0.0, betas=(0.9, 0.95))


def train(model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast, schedule: Schedule) -> None:
    """Train `model` in place: weights in float32, the arithmetic of the forward pass in bfloat16."""
    optimizer = make_optimizer(model)
    stream = batches(tokenizer, TRAIN_SEED, schedule.tokens_per_batch)
    started, seen = time.time(), 0
    model.train()
    for step, (ids, labels) in zip(range(schedule.steps), stream):
        for group in optimizer.param_groups:
            group["lr"] = schedule.rate(step)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            loss = model(input_ids=ids, labels=labels).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        seen += ids.numel()
        if step % 50 == 0 or step + 1 == schedule.steps:
            speed = seen / (time.time() - started)
            print(f"step {step} loss {loss.item():.3f} tokens {seen} ({speed:.0f}/s)", flush=True)


def round_to_bfloat16(model: LlamaForCausalLM) -> None:
    """Round the weights to what will be stored, yet keep computing in float32.

    One by one: to convert the whole model would round its rotary tables too.
    """
    model.eval()
    with torch.no_grad():
        for weight in model.parameters():
            weight.copy_(weight.bfloat16())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True, help="folder of the repository to write")
    parser.add_argument("--steps", type=int, default=2600)
    parser.add_argument("--threads", type=int, default=2)
    arguments = parser.parse_args()

    torch.set_num_threads(arguments.threads)
    torch.manual_seed(0)
    tokenizer = build_tokenizer()
    model = LlamaForCausalLM(make_config(tokenizer))
    train(model, tokenizer, Schedule(arguments.steps))
    round_to_bfloat16(model)
    perplexity: Perplexity = held_out_perplexity(model, tokenizer)
    print(perplexity)
    write_repository(arguments.out, model, tokenizer, perplexity, arguments.steps)


if __name__ == "__main__":
    main()
