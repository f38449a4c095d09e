"""The state of a training on disk, so that a long run survives an interruption."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch
from transformers import LlamaForCausalLM


@dataclass(frozen=True)
class Checkpoint:
    """A file with weights, optimizer and number of finished steps. Without a path, nothing is ever kept."""

    path: Path | None

    def restore(self, model: LlamaForCausalLM, optimizer: torch.optim.Optimizer) -> int:
        """Load what is on file and return the number of finished steps."""
        if self.path is None or not self.path.exists():
            return 0
        state = torch.load(self.path)
        model.load_state_dict(state["model"])
        optimizer.load_state_dict(state["optimizer"])
        return int(state["steps"])

    def save(self, model: LlamaForCausalLM, optimizer: torch.optim.Optimizer, steps: int) -> None:
        """Replace the file in one go."""
        if self.path is None:
            return
        fresh = self.path.with_suffix(".new")
        torch.save({"model": model.state_dict(), "optimizer": optimizer.state_dict(), "steps": steps}, fresh)
        fresh.replace(self.path)
