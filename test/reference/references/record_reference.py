"""Record the reference outputs: `python -m references.record_reference`, or compare with `--check`.

The yardstick is Hugging Face transformers on the processor, in float32 with eager attention.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import torch

from .files import differences, write
from .paths import REFERENCES
from .recording import record
from .subjects import subjects


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=REFERENCES)
    parser.add_argument("--tinystories", type=Path, help="folder of the TinyStories-656K repository; skipped without")
    parser.add_argument("--only", nargs="*", help="names of models; all without")
    parser.add_argument("--check", action="store_true", help="compare with the files in --out, write nothing")
    arguments = parser.parse_args()

    torch.set_num_threads(1)
    if not arguments.tinystories:
        print("SKIPPED tinystories-656k: no --tinystories folder given", file=sys.stderr)
    found: list[str] = []
    for subject in subjects(arguments.tinystories):
        if arguments.only and subject.name not in arguments.only:
            continue
        recorded, store = record(subject)
        if arguments.check:
            found += differences(arguments.out, recorded, store)
        else:
            write(arguments.out, recorded, store)
        gap = recorded["greedy"]["minTop2Gap"]
        print(f"{subject.name}: {len(recorded['greedy']['ids'])} greedy ids, smallest gap {gap}", flush=True)
    if found:
        sys.exit("\n".join(found))
    print("references are", "unchanged" if arguments.check else f"in {arguments.out}")


if __name__ == "__main__":
    main()
