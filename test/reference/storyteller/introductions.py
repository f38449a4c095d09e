"""Introductions: many characters in a few words each.

A story names its hero once, so that a small model is slow to learn from stories whether Sara is a girl. Here, it is
told so in every sentence.
"""

from __future__ import annotations

import random

from . import words
from .cast import make_being, make_place, make_thing

_COUNT = 12
_TEMPLATES: tuple[str, ...] = (
    "{h.name} is a {h.kind}. {h.He} has {o.a}.",
    "{h.name} is a {h.kind}. {h.He} lives near {l.the}.",
    "There is {h.intro}. {h.He} lives near {l.the}.",
    "There was {h.intro}. {h.He} had {o.a}.",
    "Here comes {h.intro}. {h.His} favorite thing is {o.a}.",
)


def introduce(rng: random.Random) -> str:
    """Several characters, half of them girls and boys."""
    told = []
    for _ in range(_COUNT):
        hero = make_being(rng, words.HERO_ADJECTIVES, rng.choice(("girl", "boy", "", "")))
        told.append(rng.choice(_TEMPLATES).format(h=hero, o=make_thing(rng), l=make_place(rng)))
    return " ".join(told)
