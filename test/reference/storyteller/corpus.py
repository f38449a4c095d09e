"""The corpus: an endless stream of plain stories and conversations, fixed by its seed."""

from __future__ import annotations

import random
from collections.abc import Iterator

from .chat import Message, converse
from .grammar import tell

TRAIN_SEED = 20_251
HELD_OUT_SEED = 99_173
CHAT_SHARE = 0.5

#: A plain story, or the messages of a conversation.
Document = str | list[Message]


def documents(seed: int) -> Iterator[Document]:
    """Documents without end. Two seeds share words and templates, but practically no story."""
    rng = random.Random(seed)
    while True:
        yield converse(rng) if rng.random() < CHAT_SHARE else tell(rng).text


def texts(document: Document) -> list[str]:
    """The pieces of text in a document, without any role marker."""
    return [document] if isinstance(document, str) else [message["content"] for message in document]
