"""What huggingface_hub makes of names, addresses and headers: `python -m references.hub_client [--check]`.

Writes `test/fixtures/hub/huggingface-hub.json`. The inputs are ours, every verdict is the package's own.
"""

from __future__ import annotations

import argparse
import json
import sys
from typing import Any

import huggingface_hub
from huggingface_hub.errors import HfUriError, HFValidationError
from huggingface_hub.utils import parse_hf_uri, parse_ratelimit_headers, validate_repo_id

from .paths import ROOT

FILE = ROOT / "test" / "fixtures" / "hub" / "huggingface-hub.json"

REPO_IDS = [
    *["gpt2", "org/name", "a", "1", "a/b", "Qwen/Qwen2.5-0.5B-Instruct", "org/name_1.0-x", "foo.git/bar", "0/_", "datasets/x"],
    *["_x", "x_", "a-b", "a.b", "a-.b", "a.-b", "a_-_b", "a-_b", "org_/n", "_/_", "x/123", "a.git.b", "GIT", "x.GIT"],
    *["", "/", "a/", "/a", "a//b", "a/b/c", "https://x/y", " org/name", "org/name ", "a b", "a\tb", "a\nb", "org/name\n"],
    *["owner--x", "a/b--c", "a--b/c", "a..b", "a/b..c", "..", ".", "-", "-a", "a-", ".a", "a.", "org/-x", "org/x.", "a/.b"],
    *["foo.git", "org/foo.git", "café", "文件", "a/é", "a@b", "a:b", "a?b", "a#b", "a%20b", "a\\b", "a+b", "~a", "a\u0000b"],
    *["x" * 96, "x" * 97, "y" * 96 + "/" + "x" * 96, "y" * 97 + "/x", "y/" + "x" * 97, "---", "a/--", "a---b", "a...b"],
]

ENDPOINT = "https://hub.example:8443/mirror"

_HF = "https://huggingface.co"
ADDRESSES = [
    *[f"{_HF}/org/name", f"{_HF}/org/name/", "http://huggingface.co/org/name", "https://hf.co/org/name", "hf.co/org/name"],
    *["huggingface.co/org/name", "HTTPS://HuggingFace.co/Org/Name", f"{_HF}/org/name?library=x", f"{_HF}/org/name#usage"],
    *[f"{_HF}/models/org/name", f"{_HF}/org/name/tree/main", f"{_HF}/org/name/tree/main/", f"{_HF}/org/name/tree/main/sub/dir"],
    *[f"{_HF}/org/name/blob/main/config.json", f"{_HF}/org/name/blame/v1.0/a", f"{_HF}/org/name/raw/main/a%20b.json"],
    *[f"{_HF}/org/name/resolve/{'a' * 40}/model.safetensors?download=true", f"{_HF}/org/name/tree/refs%2Fpr%2F1"],
    *[f"{_HF}/org/name/blob/refs/pr/12/config.json", f"{_HF}/org/name/tree/feature%2Ffoo/a", f"{_HF}/org/name/tree"],
    *[f"{_HF}/org/name/tree/refs/convert/parquet/x", f"{_HF}/org/name/tree/v1%2E0", f"{_HF}//org//name", f"{_HF}/org/name/tree/refs/heads/x"],
    *[f"{_HF}/org", f"{_HF}", f"{_HF}/", f"{_HF}/gpt2", f"{_HF}/org/name/discussions/3", f"{_HF}/org/name/commit/{'a' * 40}"],
    *[f"{_HF}/org/name/settings", f"{_HF}/org/name/commits/main", f"{_HF}/org/na--me", f"{_HF}/org/name.git", f"{_HF}/api/models/org/name"],
    *[f"{_HF}/datasets/org/name", f"{_HF}/spaces/org/name/tree/main", f"{_HF}/kernels/org/name", f"{_HF}/buckets/org/name"],
    *["https://example.com/org/name", "https://huggingface.co.evil.example/org/name", "ftp://huggingface.co/org/name"],
    *[ENDPOINT, f"{ENDPOINT}/org/name", f"{ENDPOINT}/org/name/tree/v1", f"{ENDPOINT}/org/name/resolve/main/config.json"],
    *["hf://org/name", "hf://org/name/", "hf://models/org/name", "hf://org/name@v1", "hf://org/name@v1/config.json", "hf://"],
    *["hf://org/name@refs/pr/3/config.json", "hf://org/name@feature%2Ffoo", "hf://org/name/a@b.json", "hf://org/name/config.json"],
    *["hf://org", "hf://org@v1", "hf://org/name@", "hf://datasets/org/name", "hf://model/org/name", "hf://spaces/a/b", "hf://a--b/c"],
    *["hf://org/name@v1//x", "hf:///org/name", "HF://org/name", "hf://models", "hf://buckets/a/b"],
]

RATE_LIMITS = [
    *['"api";r=0;t=55', '"api";r=489;t=189', '"api"; r=0; t=55', '"api" ; r = 0 ; t = 7', '"resolvers";r=0;t=300', '"pages";r=0;t=0'],
    *['"api";t=55;r=0', '"api";r=0', '"api";t=5', "api;r=0;t=55", "", "nonsense", "55", '"api";r=-1;t=5', '"api";r=0;t=soon'],
]


def repo_id(value: str) -> bool:
    """Whether it is a repository id."""
    try:
        validate_repo_id(value)
    except HFValidationError:
        return False
    return True


def address(value: str) -> dict[str, Any] | None:
    """What it names; None where it names nothing."""
    try:
        uri = parse_hf_uri(value, endpoint=ENDPOINT)
    except HfUriError:
        return None
    return {"type": uri.type, "id": uri.id, "revision": uri.revision}


def rate_limit(value: str) -> dict[str, int] | None:
    """What is left, and the seconds until it is renewed; None where it is not understood."""
    info = parse_ratelimit_headers({"RateLimit": value})
    return None if info is None else {"remaining": info.remaining, "resetSeconds": info.reset_in_seconds}


def record() -> dict[str, Any]:
    """Everything."""
    return {
        "huggingface_hub": huggingface_hub.__version__,
        "endpoint": ENDPOINT,
        "repoIds": [[value, repo_id(value)] for value in REPO_IDS],
        "addresses": [[value, address(value)] for value in ADDRESSES],
        "rateLimits": [[value, rate_limit(value)] for value in RATE_LIMITS],
    }


def dump(recorded: dict[str, Any]) -> str:
    """JSON with a line for each verdict."""
    parts = []
    for key, value in recorded.items():
        lines = [f"    {json.dumps(row, ensure_ascii=False)}" for row in value] if isinstance(value, list) else None
        parts.append(f"  {json.dumps(key)}: " + (json.dumps(value) if lines is None else "[\n" + ",\n".join(lines) + "\n  ]"))
    return "{\n" + ",\n".join(parts) + "\n}\n"


def main() -> None:
    """Writes the file, or says whether it is as this version of the package has it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true")
    fresh = record()
    if parser.parse_args().check:
        if json.loads(FILE.read_text(encoding="utf-8")) != json.loads(json.dumps(fresh)):
            sys.exit(f"{FILE} differs from what huggingface_hub {fresh['huggingface_hub']} says")
        return
    FILE.parent.mkdir(parents=True, exist_ok=True)
    FILE.write_text(dump(fresh), encoding="utf-8")


if __name__ == "__main__":
    main()
