"""The tokenizer: a byte-pair encoding whose unknown characters fall back to bytes.

Spaces become "▁" as in Llama's tokenizers, but none is put before the text, so that decoding gives back exactly what
was encoded, also for a piece from the middle of a text.
"""

from __future__ import annotations

import itertools
import json
import string
from collections.abc import Iterator
from pathlib import Path

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
from transformers import PreTrainedTokenizerFast

from .corpus import Document, TRAIN_SEED, documents, texts

UNK, BOS, EOS, END_OF_TURN = "<unk>", "<s>", "</s>", "<|end|>"
ROLES = ("<|system|>", "<|user|>", "<|assistant|>")
SPECIAL = (UNK, BOS, EOS, END_OF_TURN, *ROLES)
VOCABULARY = 2048
CONTEXT = 512
TRAINING_DOCUMENTS = 8000

CHAT_TEMPLATE = (
    "{{ bos_token }}"
    "{% for message in messages %}"
    "{{ '<|' + message['role'] + '|>' + message['content'] + '<|end|>' }}"
    "{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|assistant|>' }}{% endif %}"
)

#: No token crosses a word's end; quotation marks stay with the punctuation they follow.
_WORD = Regex(r"▁?[A-Za-z]+|▁?[^A-Za-z▁\n]+|\n+|▁+")


def _training_texts() -> Iterator[str]:
    for document in itertools.islice(documents(TRAIN_SEED), TRAINING_DOCUMENTS):
        yield from texts(document)


def _learn(size: int) -> tuple[list[str], list[tuple[str, str]]]:
    """`size` pieces and the merges that make them."""
    learner = Tokenizer(models.BPE())
    learner.normalizer = normalizers.Replace(" ", "▁")
    learner.pre_tokenizer = pre_tokenizers.Split(_WORD, "isolated")
    alphabet = sorted(set(string.printable[:95].replace(" ", "▁")) | {"\n"})
    trainer = trainers.BpeTrainer(vocab_size=size, initial_alphabet=alphabet, show_progress=False)
    learner.train_from_iterator(_training_texts(), trainer)
    model = json.loads(learner.to_str())["model"]
    pieces = sorted(model["vocab"], key=model["vocab"].__getitem__)
    return pieces, [tuple(merge) for merge in model["merges"]]


def build_tokenizer() -> PreTrainedTokenizerFast:
    """Train the tokenizer."""
    byte_tokens = [f"<0x{byte:02X}>" for byte in range(256)]
    pieces, merges = _learn(VOCABULARY - len(SPECIAL) - len(byte_tokens))
    vocabulary = {token: index for index, token in enumerate([*SPECIAL, *byte_tokens, *pieces])}
    core = Tokenizer(models.BPE(vocabulary, merges, unk_token=UNK, byte_fallback=True, fuse_unk=True))
    core.normalizer = normalizers.Replace(" ", "▁")
    core.decoder = decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()])
    core.add_special_tokens([AddedToken(token, normalized=False, special=True) for token in SPECIAL])
    core.post_processor = processors.TemplateProcessing(
        single=f"{BOS} $A", pair=f"{BOS} $A {BOS} $B", special_tokens=[(BOS, vocabulary[BOS])]
    )
    return _dress(core)


def load_tokenizer(folder: Path) -> PreTrainedTokenizerFast:
    """The tokenizer of a repository made earlier, so that a model trained anew keeps its vocabulary."""
    return _dress(Tokenizer.from_file(str(folder / "tokenizer.json")))


def _dress(core: Tokenizer) -> PreTrainedTokenizerFast:
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=core, bos_token=BOS, eos_token=EOS, unk_token=UNK, pad_token=UNK,
        additional_special_tokens=[END_OF_TURN, *ROLES], model_max_length=CONTEXT,
        clean_up_tokenization_spaces=False, add_bos_token=True,
    )
    tokenizer.chat_template = CHAT_TEMPLATE
    return tokenizer


def encode(tokenizer: PreTrainedTokenizerFast, document: Document) -> list[int]:
    """The ids of a whole document, from BOS to the token that ends it."""
    if isinstance(document, str):
        return [*tokenizer(document)["input_ids"], tokenizer.eos_token_id]
    rendered = tokenizer.apply_chat_template(document, tokenize=False)
    return tokenizer(rendered, add_special_tokens=False)["input_ids"]
