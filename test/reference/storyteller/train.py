"""Make the whole bundled model: `python -m storyteller.train --out <folder>`.

Trains the tokenizer and the model from fixed seeds, rounds the weights to bfloat16, measures the held-out perplexity
of the rounded weights and writes a complete Hugging Face repository. With `--checkpoint`, it can be stopped and goes
on where it was.
"""

from __future__ import annotations

import argparse
import itertools
import math
import time
from dataclasses import dataclass
from pathlib import Path

import torch
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from . import words
from .batches import batches
from .card import model_card
from .checkpoint import Checkpoint
from .corpus import TRAIN_SEED
from .evaluate import held_out_perplexity
from .repository import write_repository
from .tokenizer import CONTEXT, build_tokenizer, load_tokenizer

STEPS = 2000


@dataclass(frozen=True)
class Schedule:
    """How long and how fast to learn.

    The rate goes up in a line, follows the first part of a cosine, and over the last steps goes down in a line.
    """

    steps: int
    tokens_per_batch: int = 4096
    warmup: int = 100
    cosine: int = 2600
    cooldown: int = 160
    peak: float = 3e-3

    def _before_cooldown(self, step: int) -> float:
        if step < self.warmup:
            return self.peak * (step + 1) / self.warmup
        done = (step - self.warmup) / (self.cosine - self.warmup)
        return self.peak * (0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * done)))

    def rate(self, step: int) -> float:
        """The learning rate of a step."""
        first = max(0, self.steps - self.cooldown)
        if step < first:
            return self._before_cooldown(step)
        return self._before_cooldown(first) * (self.steps - step) / (self.steps - first + 1)


def make_config(tokenizer: PreTrainedTokenizerFast) -> LlamaConfig:
    """The architecture: 2.4 million parameters."""
    return LlamaConfig(
        vocab_size=len(tokenizer), hidden_size=192, intermediate_size=512, num_hidden_layers=5,
        num_attention_heads=6, num_key_value_heads=2, head_dim=32, max_position_embeddings=CONTEXT,
        tie_word_embeddings=True, rms_norm_eps=1e-5, initializer_range=0.03,
        rope_parameters={"rope_type": "default", "rope_theta": 10000.0},
        bos_token_id=tokenizer.bos_token_id, eos_token_id=tokenizer.eos_token_id, pad_token_id=None,
    )


@torch.no_grad()
def lean_names(model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast) -> None:
    """Let the embedding of every name begin a little on the side of "girl" or of "boy".

    A story says this once in two hundred ids. Left alone, so small a model takes all names for the same.
    """
    embedding = model.get_input_embeddings().weight
    girl, boy = (embedding[tokenizer.convert_tokens_to_ids(word)] for word in ("▁girl", "▁boy"))
    direction = (girl - boy) / (girl - boy).norm()
    for side, names in ((0.5, words.GIRL_NAMES), (-0.5, words.BOY_NAMES)):
        for name in names:
            pieces = tokenizer(" " + name, add_special_tokens=False)["input_ids"]
            embedding[pieces[-1]] += side * embedding[pieces[-1]].norm() * direction


def make_optimizer(model: LlamaForCausalLM) -> torch.optim.AdamW:
    """AdamW that lets only matrices decay."""
    matrices = [weight for weight in model.parameters() if weight.dim() > 1]
    vectors = [weight for weight in model.parameters() if weight.dim() <= 1]
    groups = [{"params": matrices, "weight_decay": 0.1}, {"params": vectors, "weight_decay": 0.0}]
    return torch.optim.AdamW(groups, lr=0.0, betas=(0.9, 0.95))


def train(
    model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast, schedule: Schedule, checkpoint: Checkpoint
) -> None:
    """Train `model` in place: weights in float32, the arithmetic of the forward pass in bfloat16."""
    optimizer = make_optimizer(model)
    first = checkpoint.restore(model, optimizer)
    stream = itertools.islice(batches(tokenizer, TRAIN_SEED, schedule.tokens_per_batch), first, schedule.steps)
    started, seen = time.time(), 0
    model.train()
    for step, (ids, labels) in enumerate(stream, first):
        for group in optimizer.param_groups:
            group["lr"] = schedule.rate(step)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            loss = model(input_ids=ids, labels=labels).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        seen += ids.numel()
        if (step + 1) % 20 == 0:
            checkpoint.save(model, optimizer, step + 1)
            print(f"step {step + 1} loss {loss.item():.3f} ({seen / (time.time() - started):.0f} tokens/s)", flush=True)


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
    parser.add_argument("--steps", type=int, default=STEPS)
    parser.add_argument("--checkpoint", type=Path, help="file to keep the state of the training in")
    parser.add_argument("--tokenizer", type=Path, help="repository to take the tokenizer from, instead of training one")
    parser.add_argument("--threads", type=int, default=2)
    arguments = parser.parse_args()

    torch.set_num_threads(arguments.threads)
    torch.manual_seed(0)
    tokenizer = load_tokenizer(arguments.tokenizer) if arguments.tokenizer else build_tokenizer()
    model = LlamaForCausalLM(make_config(tokenizer))
    lean_names(model, tokenizer)
    schedule = Schedule(arguments.steps)
    train(model, tokenizer, schedule, Checkpoint(arguments.checkpoint))
    round_to_bfloat16(model)
    perplexity = held_out_perplexity(model, tokenizer)
    print(perplexity)
    card = model_card(model, perplexity, schedule.steps, schedule.cooldown)
    write_repository(arguments.out, model, tokenizer, card)


if __name__ == "__main__":
    main()
