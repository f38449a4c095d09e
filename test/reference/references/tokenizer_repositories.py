"""Small made repositories that keep tokens and chat templates in many places.

Every file is text, exactly as it would stand on disk: line ends and byte order marks count.
"""

from __future__ import annotations

import json
from functools import cache

from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

Files = dict[str, str]

#: A model type whose tokenizer transformers takes from tokenizer.json as it is.
CONFIG = json.dumps({"model_type": "granite"})
_CLASS = {"tokenizer_class": "PreTrainedTokenizerFast"}

#: What every tokenizer is asked for.
TEXTS: tuple[str, ...] = (
    "the cat sat", "a<tool> b </tool>", "<|im_start|>user\nhi<|im_end|>\n", "x <pad> y<unk>z", " lead <mask>  mask", "<s></s>",
    "<image>the<think> so </think>", "cat<cat>cats",
)


@cache
def base_tokenizer() -> str:
    """A byte-level tokenizer with one special token."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=290, special_tokens=["</s>"], initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False
    )
    tokenizer.train_from_iterator(["the cat sat on the mat", "user hi so the cats"] * 4, trainer)
    return json.dumps(json.loads(tokenizer.to_str()), ensure_ascii=False)


def _token(content: str, **flags: bool) -> dict[str, object]:
    defaults = {"lstrip": False, "normalized": False, "rstrip": False, "single_word": False, "special": False}
    return {"content": content, **defaults, **flags}


def _repository(config: dict[str, object] | None = None, **files: object) -> Files:
    """`__` in a name stands for its dot."""
    texts = {name.replace("__", "."): text if isinstance(text, str) else json.dumps(text) for name, text in files.items()}
    tokenizer_config = {"tokenizer_config.json": json.dumps({**_CLASS, **config})} if config is not None else {}
    return {**tokenizer_config, **texts}


def token_repositories() -> dict[str, Files]:
    """Tokens outside tokenizer.json."""
    chat = {"301": _token("<|im_end|>", special=True), "300": _token("<|im_start|>", special=True)}
    return {
        "nothing besides tokenizer.json": _repository(),
        "added_tokens_decoder": _repository({
            "added_tokens_decoder": {**chat, "302": _token("<tool>"), "303": _token("</tool>", normalized=True)},
            "eos_token": "</s>",
        }),
        "added_tokens_decoder that strips and repeats": _repository({
            "added_tokens_decoder": {
                "0": _token("</s>", special=True, lstrip=True), "300": _token("<mask>", special=True, lstrip=True, rstrip=True),
            },
            "mask_token": "<mask>",
        }),
        "added_tokens_decoder whose ids leave a hole": _repository({
            "added_tokens_decoder": {"500": _token("<tool>"), "400": _token("<think>", special=True)},
        }),
        "added_tokens_decoder over added_tokens.json and special_tokens_map.json": _repository(
            {"added_tokens_decoder": {"300": _token("<tool>")}, "eos_token": "</s>"},
            added_tokens__json={"<think>": 301}, special_tokens_map__json={"pad_token": "<pad>"},
        ),
        "added_tokens_decoder that names a word of the vocabulary": _repository({
            "added_tokens_decoder": {"260": _token("cat", special=True)},
        }),
        "added_tokens.json": _repository({"eos_token": "</s>"}, added_tokens__json={"<think>": 291, "<tool>": 290}),
        "added_tokens.json with special ones": _repository(
            {"eos_token": "</s>", "additional_special_tokens": ["<tool>"]},
            added_tokens__json={"<tool>": 290, "<pad>": 291, "<think>": 292},
            special_tokens_map__json={"pad_token": {"content": "<pad>", "lstrip": False, "normalized": False}},
        ),
        "added_tokens.json without tokenizer_config.json": _repository(added_tokens__json={"<think>": 290}),
        "special_tokens_map.json over tokenizer_config.json": _repository(
            {"pad_token": "<unk>", "eos_token": "<s>"},
            special_tokens_map__json={"eos_token": "</s>", "pad_token": "<pad>", "additional_special_tokens": ["<tool>"]},
        ),
        "special tokens that nothing adds": _repository({
            "added_tokens_decoder": {"290": _token("<tool>")}, "bos_token": "<s>", "unk_token": "<unk>", "pad_token": "<pad>",
            "additional_special_tokens": ["<|im_start|>", "<|im_end|>"],
        }),
        "special tokens as objects": _repository({
            "bos_token": {"__type": "AddedToken", "content": "<s>", "lstrip": False, "normalized": True, "rstrip": False,
                          "single_word": False},
            "pad_token": {"__type": "AddedToken", "content": "<pad>", "lstrip": True, "normalized": False, "rstrip": True,
                          "single_word": False},
        }),
        "special tokens with names of their own": _repository({"image_token": "<image>", "extra_special_tokens": {"think": "<think>"}}),
        "a list of extra special tokens": _repository({"extra_special_tokens": ["<think>", "</think>"], "eos_token": "</s>"}),
    }


_DEFAULT = "{% for m in messages %}[{{ m.role }}]\n{{ m.content }}{% endfor %}"
_NAMED = [{"name": "default", "template": "config default"}, {"name": "tool_use", "template": "config tools"}]


def _templates(config: object = None, **files: str) -> Files:
    """`chat_template` of tokenizer_config.json and template files; `additional` names go to their folder."""
    named = {}
    for name, text in files.items():
        kind, _, rest = name.partition("__")
        path = f"additional_chat_templates/{rest}.jinja" if kind == "additional" else f"chat_template.{rest}"
        named[path] = text
    entries = {} if config is None else {"chat_template": config}
    return {"tokenizer_config.json": json.dumps({**_CLASS, **entries}), **named}


def template_repositories() -> dict[str, Files]:
    """Chat templates in one or more places."""
    processor = json.dumps({"chat_template": "processor"})
    return {
        "no template": _templates(),
        "tokenizer_config.json": _templates("config"),
        "chat_template.jinja": _templates(file__jinja="file"),
        "chat_template.jinja over tokenizer_config.json": _templates("config", file__jinja="file"),
        "named templates in tokenizer_config.json": _templates(_NAMED),
        "named templates without a default": _templates(_NAMED[1:]),
        "chat_template.jinja over named templates": _templates(_NAMED, file__jinja="file"),
        "chat_template.jinja and additional templates": _templates(
            "config", file__jinja="file", additional__tool_use="file tools", additional__rag="file rag"
        ),
        "additional templates alone": _templates(_NAMED, additional__tool_use="file tools"),
        "an additional template called default": _templates("config", file__jinja="file", additional__default="other"),
        "chat_template.json": {**_templates(), "chat_template.json": processor},
        "chat_template.json and tokenizer_config.json": {**_templates("config"), "chat_template.json": processor},
        "chat_template.json and chat_template.jinja": {**_templates(file__jinja="file"), "chat_template.json": processor},
        "line ends of Windows": _templates(file__jinja=_DEFAULT.replace("\n", "\r\n") + "\r\nend\r"),
        "line ends of Windows in tokenizer_config.json": _templates("a\r\nb"),
        "a byte order mark": _templates(file__jinja="\ufeff" + _DEFAULT),
    }
