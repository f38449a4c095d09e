"""Reading, writing and comparing recorded references."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np

from .recording import Json
from .store import LogitStore

#: Float32 sums in another order differ by about this much, an error in a model by far more.
LOGIT_TOLERANCE = 2e-4
_VERSIONS = ("torch", "transformers", "tokenizers")
_NUMBER_LIST = re.compile(r"\[\s*(-?\d+(?:,\s*-?\d+)*)\s*\]")


def _dump(recorded: Json) -> str:
    """JSON with a line for every list of numbers."""
    text = json.dumps(recorded, indent=2, ensure_ascii=False)
    return _NUMBER_LIST.sub(lambda match: "[" + ", ".join(re.split(r",\s*", match.group(1))) + "]", text) + "\n"


def write(folder: Path, recorded: Json, store: LogitStore) -> None:
    """Write `<name>.json` and `<name>.f32`."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{recorded['model']}.json").write_text(_dump(recorded), encoding="utf-8")
    store.write(folder)


def _comparable(value: Any) -> Any:
    """`value` without versions and gaps, which may differ where nothing is wrong."""
    if isinstance(value, dict):
        return {key: _comparable(inner) for key, inner in value.items() if key not in (*_VERSIONS, "minTop2Gap")}
    return [_comparable(inner) for inner in value] if isinstance(value, list) else value


def differences(folder: Path, recorded: Json, store: LogitStore) -> list[str]:
    """What of a fresh recording is not as in the committed files."""
    name = recorded["model"]
    path = folder / f"{name}.json"
    if not path.exists():
        return [f"{name}: was never recorded"]
    committed = json.loads(path.read_text(encoding="utf-8"))
    fresh = json.loads(json.dumps(recorded))
    found = [
        f"{name}: {key} differs"
        for key in sorted(committed.keys() | fresh.keys())
        if _comparable({key: committed.get(key)}) != _comparable({key: fresh.get(key)})
    ]
    old, new = np.fromfile(folder / store.file, dtype="<f4"), np.concatenate(store.runs)
    if old.shape != new.shape:
        found.append(f"{name}: {old.size} logits on file, {new.size} computed")
    elif (worst := float(np.abs(old - new).max())) > LOGIT_TOLERANCE:
        found.append(f"{name}: logits differ by up to {worst:g}")
    return found
