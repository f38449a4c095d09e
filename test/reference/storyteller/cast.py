"""Characters, objects and places as templates see them, with articles and pronouns worked out."""

from __future__ import annotations

import random
from dataclasses import dataclass

from . import words


def article(phrase: str) -> str:
    """`phrase` with "a" or "an" before it."""
    silent = phrase.startswith(("hour", "honest"))
    hard = phrase.startswith(("uni", "use"))
    return ("an " if (phrase[0] in "aeiou" or silent) and not hard else "a ") + phrase


def capital(text: str) -> str:
    """`text` with its first letter in upper case and the rest untouched."""
    return text[:1].upper() + text[1:]


def invented(rng: random.Random) -> str:
    """A word nobody has heard before, such as "zurilo"."""
    return "".join(rng.choice(words.SYLLABLES) for _ in range(rng.choice((2, 2, 3))))


@dataclass(frozen=True)
class Being:
    """A character. An empty `name` means that the story calls it by its kind."""

    kind: str
    adjective: str
    name: str
    he: str
    went: str
    in_sea: bool = False

    @property
    def a(self) -> str:
        """"a little fox"."""
        return article(f"{self.adjective} {self.kind}")

    @property
    def intro(self) -> str:
        """"a little fox named Rusty"."""
        return f"{self.a} named {self.name}" if self.name else self.a

    @property
    def ref(self) -> str:
        """How the story speaks of this character once it is known."""
        return self.name or f"the {self.kind}"

    @property
    def Ref(self) -> str:
        return capital(self.ref)

    @property
    def He(self) -> str:
        return capital(self.he)

    @property
    def him(self) -> str:
        return "her" if self.he == "she" else "him"

    @property
    def his(self) -> str:
        return "her" if self.he == "she" else "his"

    @property
    def His(self) -> str:
        return capital(self.his)


@dataclass(frozen=True)
class Thing:
    """An object, at first with its adjective, afterwards by its noun alone."""

    noun: str
    adjective: str

    @property
    def a(self) -> str:
        return article(f"{self.adjective} {self.noun}")

    @property
    def full(self) -> str:
        return f"{self.adjective} {self.noun}"

    @property
    def the(self) -> str:
        return f"the {self.noun}"

    @property
    def The(self) -> str:
        return capital(self.the)


@dataclass(frozen=True)
class Place:
    """Where the story happens, and one spot there."""

    noun: str
    preposition: str
    spot: str

    @property
    def the(self) -> str:
        return f"the {self.noun}"

    @property
    def at(self) -> str:
        """"in the forest"."""
        return f"{self.preposition} the {self.noun}"


def _name(rng: random.Random, he: str) -> str:
    if rng.random() < 0.12:
        return capital(invented(rng))
    return rng.choice(words.GIRL_NAMES if he == "she" else words.BOY_NAMES)


def _pronoun_of(name: str) -> str:
    return "she" if name in words.GIRL_NAMES else "he" if name in words.BOY_NAMES else ""


def _random_kind(rng: random.Random) -> str:
    roll = rng.random()
    if roll < 0.28:
        return rng.choice(("girl", "boy"))
    if roll < 0.68:
        return rng.choice(tuple(words.ANIMALS))
    if roll < 0.80:
        return rng.choice(tuple(words.CREATURES))
    if roll < 0.94:
        return rng.choice(tuple(words.PEOPLE))
    return invented(rng) if rng.random() < 0.5 else rng.choice(tuple(words.SEA_ANIMALS))


def make_being(
    rng: random.Random, adjectives: tuple[str, ...], kind: str = "", name: str = "", named: float = 1.0
) -> Being:
    """A character of `kind` (random when empty), with a name in the share `named` of all cases."""
    kind = kind or _random_kind(rng)
    he = words.PEOPLE.get(kind, "") or _pronoun_of(name) or rng.choice(("he", "she"))
    in_sea = kind in words.SEA_ANIMALS or kind == "mermaid"
    moves = {**words.ANIMALS, **words.SEA_ANIMALS, **words.CREATURES}
    went = "swam" if kind == "mermaid" else moves.get(kind, "walked")
    if kind in words.YOUNG:
        adjectives = tuple(word for word in adjectives if word not in ("old", "wise", "big"))
    chosen = name or (_name(rng, he) if rng.random() < named else "")
    return Being(kind, rng.choice(adjectives), chosen, he, went, in_sea)


def make_thing(rng: random.Random, noun: str = "") -> Thing:
    """An object; now and then one with a made-up name."""
    if not noun:
        noun = invented(rng) if rng.random() < 0.04 else rng.choice(words.OBJECTS)
    return Thing(noun, rng.choice(words.OBJECT_ADJECTIVES))


def make_place(rng: random.Random, noun: str = "", in_sea: bool = False) -> Place:
    """A place, in the water where the hero lives there and no other place was asked for."""
    table = {**words.PLACES, **words.SEA_PLACES}
    noun = noun or rng.choice(tuple(words.SEA_PLACES if in_sea else words.PLACES))
    preposition, spots = table[noun]
    return Place(noun, preposition, rng.choice(spots))
