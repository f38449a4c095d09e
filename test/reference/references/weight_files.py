"""Record which files transformers takes for the checkpoint: `python -m references.weight_files`, or `--check`."""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from pathlib import Path
from typing import Any

import transformers
from transformers.modeling_utils import _get_resolved_checkpoint_files

from .paths import REFERENCES

FILE = REFERENCES / "weight-files.json"

_SHARDS = ("model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors")
_ODD_SHARDS = ("pytorch_model-00001-of-00002.safetensors", "pytorch_model-00002-of-00002.safetensors")
_FP16_SHARDS = ("model.fp16-00001-of-00002.safetensors", "model.fp16-00002-of-00002.safetensors")

#: Files, the shards that an index names (none: no index), and the variant that is asked for.
CASES: tuple[tuple[tuple[str, ...], tuple[str, ...], str | None], ...] = (
    (("model.safetensors",), (), None),
    (("model.safetensors", *_SHARDS), _SHARDS, None),
    (_SHARDS, _SHARDS, None),
    (_ODD_SHARDS, _ODD_SHARDS, None),
    (("model.safetensors", "model.fp16.safetensors"), (), None),
    ((*_SHARDS, "consolidated.safetensors"), _SHARDS, None),
    (("model.safetensors", "adapter_model.safetensors", "consolidated.safetensors"), (), None),
    (("model.fp16.safetensors",), (), "fp16"),
    (_FP16_SHARDS, _FP16_SHARDS, "fp16"),
    (("model.bf16.safetensors", "model.fp32.safetensors"), (), "bf16"),
)


def _choose(files: tuple[str, ...], shards: tuple[str, ...], variant: str | None) -> dict[str, Any]:
    infix = "" if variant is None else f".{variant}"
    index = f"model.safetensors.index{infix}.json"
    text = json.dumps({"metadata": {}, "weight_map": {f"tensor{at}": name for at, name in enumerate(shards)}})
    with tempfile.TemporaryDirectory() as folder:
        for name in files:
            (Path(folder) / name).touch()
        if shards:
            (Path(folder) / index).write_text(text, encoding="utf-8")
        chosen, _ = _get_resolved_checkpoint_files(folder, variant, None, None, None, False)
    listed = [*files, index] if shards else list(files)
    return {"files": listed, "index": text if shards else None, "variant": variant, "chosen": [Path(path).name for path in chosen]}


def main() -> None:
    """Write the file, or say what differs."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="compare with the committed file")
    fresh = {"transformers": transformers.__version__, "cases": [_choose(*case) for case in CASES]}
    if not parser.parse_args().check:
        FILE.write_text(json.dumps(fresh, indent=1) + "\n", encoding="utf-8")
        return
    if json.loads(FILE.read_text(encoding="utf-8"))["cases"] != fresh["cases"]:
        sys.exit(f"{FILE.name}: transformers takes other files now")


if __name__ == "__main__":
    main()
