"""Record what transformers makes of tokenizer files: `python -m references.record_tokenizers`, or compare with `--check`."""

from __future__ import annotations

import argparse
import base64
import hashlib
import json
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import sentencepiece
import transformers
from transformers import AutoTokenizer
from transformers.processing_utils import ProcessorMixin
from transformers.tokenization_utils_tokenizers import TokenizersBackend

from .paths import TOKENIZERS
from .tokenizer_models import TEXTS as MODEL_TEXTS
from .tokenizer_models import byte_pairs, spm_models
from .tokenizer_repositories import CONFIG, TEXTS, Files, base_tokenizer, template_repositories, token_repositories

Json = dict[str, Any]
_TOOLS = [{"type": "function", "function": {"name": "f"}}]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="compare with the committed files, write nothing")
    parser.add_argument(
        "--configs", type=Path, nargs="*", help="folders of folders with tokenizer files of real repositories; skipped without"
    )
    arguments = parser.parse_args()
    recorded = record() | (record_real(arguments.configs) if arguments.configs else {})
    if not arguments.configs:
        print("SKIPPED real-configs.json: no --configs folder given", file=sys.stderr)
    changed = [name for name, content in recorded.items() if not _store(name, content, arguments.check)]
    if changed:
        sys.exit(f"not as recorded: {', '.join(changed)}")
    print("tokenizers are", "unchanged" if arguments.check else f"in {TOKENIZERS}")


def record() -> dict[str, Json]:
    base = {"tokenizer.json": base_tokenizer()}
    tokens = [{"name": name, "files": files, **_tokens(base | files)} for name, files in token_repositories().items()]
    templates = [{"name": name, "files": files, **_templates(base | files)} for name, files in template_repositories().items()]
    converted = [
        {"name": name, "model": base64.b64encode(model).decode(), "config": config, **_spm(model, config)}
        for name, (model, config) in spm_models().items()
    ]
    pairs = [
        {"name": name, "vocab": vocab, "merges": merges, "config": config, **_byte_pairs(name, vocab, merges, config)}
        for name, (vocab, merges, config) in byte_pairs().items()
    ]
    versions = {"transformers": transformers.__version__}
    return {
        "added-tokens.json": {**versions, "base": base, "cases": tokens},
        "chat-templates.json": {**versions, "cases": templates},
        "other-vocabularies.json": {**versions, "sentencePiece": converted, "bytePairs": pairs},
    }


#: Text files of a repository that decide about tokens and templates.
_SMALL_FILES = (
    "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json", "chat_template.jinja", "chat_template.json",
)


def record_real(roots: list[Path]) -> dict[str, Json]:
    """Real repositories' files; where tokenizer.json is not among them, around the made one. Digests: they are other people's."""
    cases = []
    for folder in sorted(folder for root in roots for folder in root.iterdir()):
        names = ("tokenizer.json", *_SMALL_FILES)
        files = {name: path.read_bytes().decode("utf-8") for name in names if (path := folder / name).is_file()}
        if files.get("tokenizer.json", "").startswith("version https://git-lfs"):
            del files["tokenizer.json"]
        if "tokenizer_config.json" in files:
            own = {"texts": _own_texts(folder)} if "tokenizer.json" in files else {}
            name = f"{folder.parent.name}/{folder.name}"
            cases.append({"name": name, **_digests({"tokenizer.json": base_tokenizer()} | files), **own})
    return {"real-configs.json": {"transformers": transformers.__version__, "cases": cases}}


def _own_texts(folder: Path) -> list[Json]:
    tokenizer = TokenizersBackend.from_pretrained(folder)
    return [[text, tokenizer.encode(text)] for text in MODEL_TEXTS]


def _digests(files: Files) -> Json:
    with _folder(files) as folder:
        try:
            tokenizer = TokenizersBackend.from_pretrained(folder)
        except (AttributeError, TypeError) as error:
            return {"refused": str(error).replace(folder, "")}
    added = [
        [id, token.content, token.special, token.lstrip, token.rstrip, token.normalized, token.single_word]
        for id, token in sorted(tokenizer.added_tokens_decoder.items())
    ]
    special = sorted((key, value) for key, value in tokenizer.special_tokens_map.items() if isinstance(value, str))
    return {"added": _digest(added), "special": _digest(special), "template": _digest(tokenizer.chat_template)}


def _digest(value: object) -> str:
    text = json.dumps(value, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode("utf-8")).hexdigest()[:16]


def _store(name: str, recorded: Json, check: bool) -> bool:
    path = TOKENIZERS / name
    text = json.dumps(recorded, indent=1, ensure_ascii=False) + "\n"
    if check:
        return path.read_text(encoding="utf-8") == text
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return True


def _tokens(files: Files) -> Json:
    tokenizer = _load(files)
    added = {
        str(id): [token.content, token.special, token.lstrip, token.rstrip, token.normalized, token.single_word]
        for id, token in sorted(tokenizer.added_tokens_decoder.items())
    }
    special = {key: str(value) for key, value in tokenizer.special_tokens_map.items() if isinstance(value, str)}
    return {"added": added, "special": special, "texts": [[text, tokenizer.encode(text)] for text in TEXTS]}


def _spm(model: bytes, config: Json) -> Json:
    with _folder({"tokenizer_config.json": json.dumps(config)}) as folder:
        Path(folder, "tokenizer.model").write_bytes(model)
        tokenizer = AutoTokenizer.from_pretrained(folder)
    own = sentencepiece.SentencePieceProcessor(model_proto=model)
    return {
        "texts": [[text, tokenizer.encode(text)] for text in MODEL_TEXTS],
        "sentencePiece": [[text, own.encode(text)] for text in MODEL_TEXTS if "<" not in text],
    }


def _byte_pairs(name: str, vocab: str, merges: str, config: Json) -> Json:
    files = {"vocab.json": vocab, "merges.txt": merges, "tokenizer_config.json": json.dumps(config)}
    with _folder(files) as folder:
        tokenizer = getattr(transformers, name).from_pretrained(folder)
    return {"texts": [[text, tokenizer.encode(text)] for text in MODEL_TEXTS]}


def _templates(files: Files) -> Json:
    with _folder(files) as folder:
        tokenizer = AutoTokenizer.from_pretrained(folder)
        processor = ProcessorMixin.get_processor_dict(folder)[0].get("chat_template")
    chosen = {"plain": _chosen(tokenizer, None), "tools": _chosen(tokenizer, _TOOLS)}
    return {"template": tokenizer.chat_template, **chosen, "processor": processor}


def _chosen(tokenizer: Any, tools: list[Json] | None) -> str | None:
    try:
        return tokenizer.get_chat_template(tools=tools)
    except ValueError:
        return None


def _load(files: Files) -> Any:
    with _folder(files) as folder:
        return AutoTokenizer.from_pretrained(folder)


@contextmanager
def _folder(files: Files) -> Iterator[str]:
    with tempfile.TemporaryDirectory() as folder:
        for name, text in {"config.json": CONFIG, **files}.items():
            path = Path(folder, name)
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(text.encode("utf-8"))
        yield folder


if __name__ == "__main__":
    main()
