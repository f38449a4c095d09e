"""The models that references are recorded for, loaded as the yardstick wants them."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import torch
from tokenizers import Tokenizer
from transformers import AutoModelForCausalLM, PreTrainedModel

from .paths import BUNDLED_MODELS, TINY_MODELS
from .specs import specs


@dataclass(frozen=True)
class Subject:
    """A repository on disk, by the name under which tests know it."""

    name: str
    folder: Path
    #: The id that every random prompt begins with, where it matters.
    first_id: int | None = None

    def model(self) -> PreTrainedModel:
        """The model with its weights widened to float32, and attention written out step by step."""
        model = AutoModelForCausalLM.from_pretrained(self.folder, dtype=torch.float32, attn_implementation="eager")
        return model.eval()

    def tokenizer(self) -> Tokenizer | None:
        """tokenizer.json by the letter, as a browser reads it. A random checkpoint has none."""
        path = self.folder / "tokenizer.json"
        return Tokenizer.from_file(str(path)) if path.exists() else None

    def has_chat_template(self) -> bool:
        path = self.folder / "tokenizer_config.json"
        return path.exists() and "chat_template" in json.loads(path.read_text())

    def ends(self) -> frozenset[int]:
        """The ids that end a generation."""
        ends = json.loads((self.folder / "generation_config.json").read_text())["eos_token_id"]
        return frozenset(ends if isinstance(ends, list) else [ends])


def subjects(tinystories: Path | None) -> list[Subject]:
    """The bundled models, the tiny checkpoints, and TinyStories-656K where its folder is given."""
    bundled = [Subject(path.parent.name, path.parent) for path in sorted(BUNDLED_MODELS.glob("*/config.json"))]
    tiny = [
        Subject(spec.name, TINY_MODELS / spec.name, spec.config.bos_token_id if spec.massive else None)
        for spec in specs()
    ]
    real = [Subject("tinystories-656k", tinystories)] if tinystories else []
    return bundled + tiny + real
