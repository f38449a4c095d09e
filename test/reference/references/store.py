"""The binary file next to a reference: little-endian float32 logits, one run of numbers after another."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch


@dataclass
class LogitStore:
    """Collects logits and says where each run of them begins, in numbers (not bytes)."""

    file: str
    runs: list[np.ndarray] = field(default_factory=list)
    length: int = 0

    def add(self, logits: torch.Tensor) -> int:
        """Append `logits` and return its offset."""
        offset = self.length
        self.runs.append(logits.detach().numpy().astype("<f4").ravel())
        self.length += logits.numel()
        return offset

    def write(self, folder: Path) -> None:
        (folder / self.file).write_bytes(np.concatenate(self.runs).tobytes())
