"""Record what the safetensors package makes of headers: `python -m references.safetensors_headers`, or `--check`."""

from __future__ import annotations

import argparse
import json
import struct
import sys
from typing import Any

import safetensors

from .paths import REFERENCES

FILE = REFERENCES / "safetensors-headers.json"

_A = '"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}'

#: Name, header, bytes of data.
CASES: tuple[tuple[str, str, int], ...] = (
    ("metadata is null", '{"__metadata__":null,%s}' % _A, 4),
    ("metadata is empty", '{"__metadata__":{},%s}' % _A, 4),
    ("metadata holds a number", '{"__metadata__":{"a":1},%s}' % _A, 4),
    ("metadata holds a null", '{"__metadata__":{"a":null},%s}' % _A, 4),
    ("metadata is a string", '{"__metadata__":"x",%s}' % _A, 4),
    ("metadata is a list", '{"__metadata__":[],%s}' % _A, 4),
    ("metadata holds a NaN", '{"__metadata__":{"a":NaN},%s}' % _A, 4),
    ("a field twice", '{"a":{"dtype":"F32","dtype":"F32","shape":[1],"data_offsets":[0,4]}}', 4),
    ("a field that the format does not know", '{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4],"x":[1]}}', 4),
    ("a shape with a fraction", '{"a":{"dtype":"F32","shape":[1.5],"data_offsets":[0,4]}}', 4),
    ("a shape with a negative zero", '{"a":{"dtype":"F32","shape":[-0],"data_offsets":[0,0]}}', 0),
    ("three offsets", '{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4,4]}}', 4),
    ("no shape", '{"a":{"dtype":"F32","data_offsets":[0,4]}}', 4),
    ("an entry is null", '{"a":null}', 0),
    ("a scalar", '{"a":{"dtype":"F32","shape":[],"data_offsets":[0,4]}}', 4),
    ("an empty tensor at the end", '{%s,"b":{"dtype":"F32","shape":[0],"data_offsets":[4,4]}}' % _A, 4),
    ("an empty tensor inside another", '{%s,"b":{"dtype":"F32","shape":[0],"data_offsets":[2,2]}}' % _A, 4),
    ("spaces before", "  {%s}" % _A, 4),
    ("spaces after", "{%s}   " % _A, 4),
    ("a zero byte after", "{%s}\0" % _A, 4),
    ("a byte order mark", "\ufeff{%s}" % _A, 4),
    ("an empty name", '{"":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}', 4),
    ("complex numbers", '{"a":{"dtype":"C64","shape":[1],"data_offsets":[0,8]}}', 8),
    ("4-bit floats", '{"a":{"dtype":"F4","shape":[2],"data_offsets":[0,1]}}', 1),
    ("8-bit exponents", '{"a":{"dtype":"F8_E8M0","shape":[1],"data_offsets":[0,1]}}', 1),
    ("a dtype that there is not", '{"a":{"dtype":"F33","shape":[1],"data_offsets":[0,4]}}', 4),
    ("no tensors", "{}", 0),
    ("data beyond the last tensor", "{%s}" % _A, 5),
    ("a hole before the first tensor", '{"a":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}}', 8),
    ("one range for two tensors", '{%s,"b":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}' % _A, 4),
)


def record() -> list[dict[str, Any]]:
    """Every case with the tensors that are read, or with the reason why none are."""
    recorded = []
    for name, header, size in CASES:
        encoded = header.encode("utf-8")
        case: dict[str, Any] = {"name": name, "header": header, "dataBytes": size}
        try:
            tensors = safetensors.deserialize(struct.pack("<Q", len(encoded)) + encoded + bytes(size))
            case["tensors"] = {key: {"dtype": entry["dtype"], "shape": entry["shape"]} for key, entry in tensors}
        except safetensors.SafetensorError as error:
            case["error"] = str(error)
        recorded.append(case)
    return recorded


def main() -> None:
    """Write the file, or say what differs."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="compare with the committed file")
    fresh = {"safetensors": safetensors.__version__, "cases": record()}
    if not parser.parse_args().check:
        FILE.write_text(json.dumps(fresh, indent=1) + "\n", encoding="utf-8")
        return
    if json.loads(FILE.read_text(encoding="utf-8"))["cases"] != fresh["cases"]:
        sys.exit(f"{FILE.name}: safetensors reads something else now")


if __name__ == "__main__":
    main()
