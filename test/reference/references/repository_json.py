"""Record what Python makes of a repository's JSON: `python -m references.repository_json`, or compare with `--check`.

Two lists: texts as `json.loads` reads them, and config.json as transformers' AutoConfig reads it.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
import tempfile
from pathlib import Path
from typing import Any

import torch
import transformers
from transformers import AutoConfig
from transformers.activations import ACT2FN

from .paths import REFERENCES

FILE = REFERENCES / "repository-json.json"

#: Bytes, written as Latin-1 so that they can be told in JSON.
TEXTS: tuple[bytes, ...] = (
    b"[NaN, Infinity, -Infinity, 1e999, -1e999]", b"{\"a\":NaN,\"b\":{\"c\":[Infinity]}}", b"NaN", b" -Infinity ",
    b"[\"NaN\", \"-Infinity\", NaN]", b"[\"a \\\" NaN\", NaN, \"\\\\\", Infinity]", b"[\"\\u004eaN\", NaN]",
    b"[\"NaN\", \"NaNN\", NaN]", b"{\"NaN\": NaN, \"Infinity\": 1}", b"{\"a\": NaN, \"a\": 1}", b"{\"a\":1,\"a\":2}",
    b"\xef\xbb\xbf{\"a\":1}", b"\xef\xbb\xbf[NaN]", b"[1.0, -0.0, 1E2, 0.1]", b"\"\\ud83e\\udd8a\"", b"\t\r\n [ ] ",
    b"-NaN", b"[nan]", b"[Inf]", b"[infinity]", b"[+Infinity]", b"[--Infinity]", b"[1Infinity]", b"[Infinity1]", b"[1NaN]",
    b"[NaN1]", b"[NaNNaN]", b"[InfinityInfinity]", b"[1-Infinity]", b"{NaN: 1}", b"[1,]", b"{\"a\":1,}", b"['a']", b"// a\n1",
    b"[\"\xff\"]", b"[\"\n\"]", b"", b"[NaN", b"\"NaN", b"[01]", b"[.5]", b"[1.]", b"\xef\xbb\xbf\xef\xbb\xbf1", b"[Infinity e5]",
)

_SIZES = {
    "hidden_size": 64, "intermediate_size": 176, "num_hidden_layers": 2, "num_attention_heads": 4,
    "num_key_value_heads": 2, "vocab_size": 301,
}
_FAMILIES = ("llama", "mistral", "qwen2")
_SWITCHES: tuple[dict[str, Any], ...] = (
    {}, {"hidden_act": "swish"}, {"rms_norm_eps": 0.0}, {"pretraining_tp": 4}, {"beyond": math.nan},
    {"above": math.inf, "below": [-math.inf]}, {"sliding_window": None}, {"sliding_window": 128},
    {"use_sliding_window": False, "sliding_window": None},
)


def _tag(value: Any) -> Any:
    """`value` with the numbers that JSON lacks as objects."""
    if isinstance(value, float) and not math.isfinite(value):
        return {"float": str(value)}
    if isinstance(value, dict):
        return {key: _tag(inner) for key, inner in value.items()}
    return [_tag(inner) for inner in value] if isinstance(value, list) else value


def _read_text(text: bytes) -> dict[str, Any]:
    latin1 = text.decode("latin-1")
    try:
        return {"latin1": latin1, "value": _tag(json.loads(text))}
    except ValueError as error:
        return {"latin1": latin1, "error": type(error).__name__}


def _read_config(fields: dict[str, Any]) -> dict[str, Any]:
    text = json.dumps(fields)
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "config.json").write_text(text, encoding="utf-8")
        config = AutoConfig.from_pretrained(folder)
    numbers = torch.linspace(-4, 4, 33)
    is_silu = torch.equal(ACT2FN[config.hidden_act](numbers), torch.nn.functional.silu(numbers))
    # Mistral's layers all have the window, Qwen2's those that its configuration says, Llama's none whatever it says.
    slides = config.model_type == "mistral" or "sliding_attention" in (getattr(config, "layer_types", None) or [])
    return {
        "text": text,
        "shape": {
            "vocabSize": config.vocab_size,
            "hiddenSize": config.hidden_size,
            "intermediateSize": config.intermediate_size,
            "layerCount": config.num_hidden_layers,
            "headCount": config.num_attention_heads,
            "kvHeadCount": config.num_key_value_heads,
            "headDim": getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads,
            "rmsNormEpsilon": config.rms_norm_eps,
            "tiedEmbeddings": config.tie_word_embeddings,
            "theta": config.rope_parameters["rope_theta"],
        },
        "contextTokens": config.max_position_embeddings,
        "window": getattr(config, "sliding_window", None) if slides else None,
        "isSilu": is_silu,
    }


def record() -> dict[str, Any]:
    """Everything that is recorded."""
    configs = [{"model_type": family} for family in _FAMILIES]
    configs += [{"model_type": family, **_SIZES, **switch} for family in _FAMILIES for switch in _SWITCHES]
    return {
        "python": sys.version.split()[0],
        "transformers": transformers.__version__,
        "texts": [_read_text(text) for text in TEXTS],
        "configs": [_read_config(config) for config in configs],
    }


def main() -> None:
    """Write the file, or say what differs."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="compare with the committed file")
    fresh = record()
    if not parser.parse_args().check:
        FILE.write_text(json.dumps(fresh, indent=1) + "\n", encoding="utf-8")
        return
    committed = json.loads(FILE.read_text(encoding="utf-8"))
    if any(committed[key] != fresh[key] for key in ("texts", "configs")):
        sys.exit(f"{FILE.name}: Python reads something else now")


if __name__ == "__main__":
    main()
