"""What Hugging Face's tokenizers decodes from ids, for tests of the text that a person sees.

Writes test/fixtures/decoding: `steps.json` (decoders alone, fed with tokens) and one file for each tokenizer (ids and
their text, special tokens hidden and shown). The tokenizers themselves stay where they are: `--data` names a folder with
them; those that it lacks are left as they were recorded.
"""

from __future__ import annotations

import argparse
import json
import random
from pathlib import Path
from typing import Any

import tokenizers
from tokenizers import Tokenizer

from .paths import ROOT

OUT = ROOT / "test" / "fixtures" / "decoding"
BUNDLED = ROOT / "public" / "models" / "firstlight" / "storyteller-2m" / "tokenizer.json"

# Folder below --data, and the ids that its model can give (some of which the tokenizer may not know).
SUBJECTS = {
    "granite-code": ("cases/granite3b-code-clean-spaces", 49_160),
    "qwen2.5": ("qwen2.5-tokenizer", 151_936),
    "yi": ("cases/yi-merge-eos-only-in-tokenizer", 64_000),
    "tinystories": ("tinystories-656k/hf-bf16", 2_048),
    "minilm": ("all-minilm-l6-v2-text/sentence-transformers-layout", 30_522),
}

TEXTS = [
    "It 's my dog 's , isn 't it ?  I do not know n't !",
    "def f(x = 'string') :\n    return ' my ' . join ( x )\n\n",
    "🌟 a 👩\u200d👩\u200d👧 family, 🇩🇪🌟🌟 and 你好，世界 ñ é ü ﬁ",
    "  two spaces  before\tand\r\nafter   ",
    "<|im_start|>user\nhi<|im_end|> <s>x</s> [CLS] y [SEP]",
    "▁▁ underlines __ \ufeffbyte order mark \u0000 nul",
]

SPACE = "\u2581"
LLAMA = {
    "type": "Sequence",
    "decoders": [
        {"type": "Replace", "pattern": {"String": SPACE}, "content": " "},
        {"type": "ByteFallback"},
        {"type": "Fuse"},
        {"type": "Strip", "content": " ", "start": 1, "stop": 0},
    ],
}
SENTENCE_TOKENS = [
    f"{SPACE}Hello", f"{SPACE}", f"{SPACE}{SPACE}a", "b", "<0xF0>", "<0x9F>", "<0x8C>", "<0x9F>", "<0x41>", "<0xFF>",
    "<0xEF>", "<0xBB>", "<0xBF>", " ", "\u00e9", "<0xE4>", "<0xBD>", "<0xA0>", "$1", "", "<0x0A>",
]  # fmt: skip
BYTE_TOKENS = ["\u0120Hello", "\u00f0\u0141\u012e\u0141", "\u00f0", "\u0141", "\u012e", "\u010a", "<fim prefix>", "｜x｜", "\u00c3\u00a9", "\u00ef\u00bb\u00bf", "a", "\u00e4\u00bd", "\u0142"]  # fmt: skip
WORD_TOKENS = ["it", "'", "s", "##s", "'s", "n't", "do not", ".", "?", "!", ",", "##.", "hello", "##", "a"]
SUFFIX_TOKENS = ["a</w>", "b", "c</w></w>", "</w>", "d</w>", "e"]

# Decoders as tokenizer.json has them, and tokens to feed them with.
STEPS: list[tuple[dict[str, Any] | None, list[str]]] = [
    (LLAMA, SENTENCE_TOKENS),
    ({"type": "Sequence", "decoders": LLAMA["decoders"][:3]}, SENTENCE_TOKENS),
    ({"type": "Sequence", "decoders": [{"type": "Fuse"}, LLAMA["decoders"][0], {"type": "Strip", "content": " ", "start": 0, "stop": 2}]}, ["a", f"{SPACE}b", f"{SPACE}{SPACE}", "c"]),  # fmt: skip
    ({"type": "Sequence", "decoders": [{"type": "Strip", "content": "x", "start": 2, "stop": 0}, {"type": "Fuse"}]}, ["xxxa", "x", "xbx", "", "c"]),  # fmt: skip
    ({"type": "Sequence", "decoders": [{"type": "Fuse"}, {"type": "Replace", "pattern": {"String": "ab"}, "content": "$&-"}]}, ["a", "b", "xab", "c"]),  # fmt: skip
    ({"type": "Sequence", "decoders": [{"type": "Replace", "pattern": {"Regex": "[ab]+"}, "content": "$1"}]}, ["aab", "b", "xab", "c"]),  # fmt: skip
    ({"type": "Sequence", "decoders": [{"type": "Sequence", "decoders": [{"type": "ByteLevel", "add_prefix_space": True, "trim_offsets": True, "use_regex": True}]}, {"type": "Fuse"}]}, BYTE_TOKENS),  # fmt: skip
    ({"type": "ByteLevel", "add_prefix_space": True, "trim_offsets": True, "use_regex": True}, BYTE_TOKENS),
    ({"type": "ByteFallback"}, SENTENCE_TOKENS),
    ({"type": "Metaspace", "replacement": SPACE, "prepend_scheme": "always", "split": True}, SENTENCE_TOKENS),
    ({"type": "Metaspace", "replacement": SPACE, "prepend_scheme": "first", "split": False}, SENTENCE_TOKENS),
    ({"type": "Metaspace", "replacement": SPACE, "prepend_scheme": "never", "split": True}, SENTENCE_TOKENS),
    ({"type": "Metaspace", "replacement": SPACE, "add_prefix_space": False, "prepend_scheme": "never"}, SENTENCE_TOKENS),
    ({"type": "WordPiece", "prefix": "##", "cleanup": True}, WORD_TOKENS),
    ({"type": "WordPiece", "prefix": "##", "cleanup": False}, WORD_TOKENS),
    ({"type": "BPEDecoder", "suffix": "</w>"}, SUFFIX_TOKENS),
    (None, WORD_TOKENS),
]


def with_decoder(decoder: dict[str, Any] | None, vocabulary: list[str]) -> Tokenizer:
    """A tokenizer with these tokens, id by id, and this decoder."""
    model = {"type": "WordLevel", "vocab": {token: id for id, token in enumerate(vocabulary)}, "unk_token": vocabulary[0]}
    parts = {"version": "1.0", "truncation": None, "padding": None, "added_tokens": [], "normalizer": None}
    rest = {"pre_tokenizer": None, "post_processor": None, "decoder": decoder, "model": model}
    return Tokenizer.from_str(json.dumps({**parts, **rest}))


def record_steps() -> list[dict[str, Any]]:
    rng = random.Random(1)
    records = []
    for decoder, tokens in STEPS:
        vocabulary = list(dict.fromkeys(tokens))
        tokenizer = with_decoder(decoder, vocabulary)
        runs = [list(range(len(vocabulary)))]
        runs += [[rng.randrange(len(vocabulary)) for _ in range(rng.randrange(1, 9))] for _ in range(24)]
        cases = [{"tokens": [vocabulary[id] for id in ids], "text": tokenizer.decode(ids)} for ids in runs]
        records.append({"decoder": decoder, "cases": cases})
    return records


def with_hidden_special_tokens(tokenizer: Tokenizer) -> Tokenizer:
    """tokenizers 0.23.3 shows special tokens that are also flagged `normalized`; transformers hides them all the same."""
    parts = json.loads(tokenizer.to_str())
    for token in parts["added_tokens"]:
        token["normalized"] = token["normalized"] and not token["special"]
    return Tokenizer.from_str(json.dumps(parts))


def record_tokenizer(tokenizer: Tokenizer, id_count: int) -> list[dict[str, Any]]:
    rng = random.Random(2)
    decoder = with_hidden_special_tokens(tokenizer)
    special = [id for id, token in tokenizer.get_added_tokens_decoder().items() if token.special]
    runs = [tokenizer.encode(text).ids for text in TEXTS]
    for length in (1, 2, 3, 5, 8, 13):
        for _ in range(4):
            run = [rng.randrange(id_count) for _ in range(length)]
            runs.append([rng.choice(special) if special and rng.random() < 0.2 else id for id in run])
    # Cut where it may be in the middle of a character.
    runs += [run[: rng.randrange(1, len(run) + 1)] for run in runs[:6] for _ in range(4)]
    return [
        {"ids": ids, "hidden": decoder.decode(ids), "shown": decoder.decode(ids, skip_special_tokens=False)}
        for ids in runs
    ]


def write(name: str, records: list[dict[str, Any]]) -> None:
    OUT.mkdir(parents=True, exist_ok=True)
    text = json.dumps({"tokenizers": tokenizers.__version__, "records": records}, ensure_ascii=True)
    (OUT / f"{name}.json").write_text(text + "\n")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, help="folder with the tokenizers of others")
    args = parser.parse_args()
    write("steps", record_steps())
    write("storyteller", record_tokenizer(Tokenizer.from_file(str(BUNDLED)), 2_050))
    for name, (folder, id_count) in SUBJECTS.items():
        file = args.data / folder / "tokenizer.json" if args.data else None
        if file is None or not file.exists():
            print(f"{name}: not here, left as it was")
            continue
        write(name, record_tokenizer(Tokenizer.from_file(str(file)), id_count))


if __name__ == "__main__":
    main()
