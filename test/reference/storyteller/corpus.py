"""The corpus: an endless stream of plain stories, conversations and introductions, fixed by its seed."""

from __future__ import annotations

import random
from collections.abc import Iterator

from .chat import Message, converse
from .introductions import introduce
from .grammar import tell

TRAIN_SEED = 20_251
HELD_OUT_SEED = 99_173
CHAT_SHARE = 0.42
INTRODUCTION_SHARE = 0.16

#: A plain story, or the messages of a conversation.
Document = str | list[Message]


def documents(seed: int) -> Iterator[Document]:
    """Documents without end. Two seeds share words and templates, but practically no story."""
    rng = random.Random(seed)
    while True:
        roll = rng.random()
        if roll < CHAT_SHARE:
            yield converse(rng)
        elif roll < CHAT_SHARE + INTRODUCTION_SHARE:
            yield introduce(rng)
        else:
            yield tell(rng).text


def texts(document: Document) -> list[str]:
    """The pieces of text in a document, without any role marker."""
    return [document] if isinstance(document, str) else [message["content"] for message in document]
