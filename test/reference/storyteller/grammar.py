"""Turns a plot and a cast into a story."""

from __future__ import annotations

import random
import re
from dataclasses import dataclass

from . import words
from .cast import Being, Place, Thing, capital, make_being, make_place, make_thing
from .plots import PLOTS, Plot

_CHOICE = re.compile(r"\[([^\[\]]*)\]")

OPENINGS: tuple[str, ...] = ("Once upon a time, ",) * 12 + (
    "Long ago, ", "A long time ago, ", "In a land far away, ", "Once, ", "Many years ago, ",
)
LAST_WORDS: tuple[str, ...] = ("",) * 6 + (" The end.", " And they all lived happily ever after.")
NOT_MENDABLE = frozenset({"cake", "pie", "cookie", "pumpkin", "flower", "egg", "apple", "pebble", "gem", "coin", "feather"})


@dataclass(frozen=True)
class Wish:
    """What a story should be about. Empty fields are left to chance."""

    hero: str = ""
    hero_name: str = ""
    pal: str = ""
    thing: str = ""
    place: str = ""


@dataclass(frozen=True)
class Story:
    """A finished story and who and what is in it."""

    text: str
    plot: str
    hero: Being
    pal: Being
    thing: Thing
    place: Place
    has_object: bool


class _Slots:
    """Attribute access for templates: the fields of `base`, then `extra` ones worked out for this story."""

    def __init__(self, base: object, **extra: str) -> None:
        self._base = base
        self._extra = extra

    def __getattr__(self, name: str) -> str:
        return self._extra[name] if name in self._extra else getattr(self._base, name)


def _pick_plot(rng: random.Random, wish: Wish) -> Plot:
    usable = [plot for plot in PLOTS if plot.uses_object or not wish.thing]
    if wish.thing in NOT_MENDABLE:
        usable = [plot for plot in usable if not plot.mendable_only]
    return rng.choice(usable)


def _pick_cast(rng: random.Random, wish: Wish) -> tuple[Being, Being]:
    hero = make_being(rng, words.HERO_ADJECTIVES, wish.hero, wish.hero_name, named=0.9)
    while True:
        pal = make_being(rng, words.PAL_ADJECTIVES, wish.pal, named=0.35)
        swims_along = hero.in_sea == pal.in_sea or wish.hero or wish.pal
        if pal.ref != hero.ref and pal.kind != hero.kind and swims_along:
            return hero, pal


def _slots(rng: random.Random, hero: Being, pal: Being, thing: Thing, place: Place) -> dict[str, object]:
    food = rng.choice(words.FOODS)
    return {
        "h": _Slots(hero, short=hero.name or f"a {hero.kind}"),
        "p": _Slots(pal, Intro=capital(pal.intro), vocative=pal.name or f"dear {pal.kind}", His=pal.His),
        "o": _Slots(thing, lovely=rng.choice(("lovely", "nice", "wonderful"))),
        "l": _Slots(place, Spot=capital(place.spot)),
        "home": rng.choice(words.HOMES),
        "out": rng.choice(("out", "down", "over")),
        "walked": "swam" if hero.in_sea else "walked",
        "food": food,
        "food_noun": food.split()[-1],
        "fear": rng.choice(words.FEARS),
        "skill": rng.choice(words.SKILLS),
        "seed": rng.choice(words.SEEDS),
        "gift": rng.choice(words.GIFTS),
        "game": rng.choice(words.GAMES),
    }


def _fill(rng: random.Random, template: str, slots: dict[str, object]) -> str:
    chosen = _CHOICE.sub(lambda match: rng.choice(match.group(1).split("|")), template)
    return chosen.format_map(slots)


def tell(rng: random.Random, wish: Wish = Wish()) -> Story:
    """A story that fulfils `wish`; everything else comes from `rng`."""
    plot = _pick_plot(rng, wish)
    hero, pal = _pick_cast(rng, wish)
    thing = make_thing(rng, wish.thing)
    while not wish.thing and plot.mendable_only and thing.noun in NOT_MENDABLE:
        thing = make_thing(rng)
    place = make_place(rng, wish.place, hero.in_sea)
    slots = _slots(rng, hero, pal, thing, place)
    told = [_fill(rng, rng.choice(beat), slots) for beat in plot.beats]
    opening = rng.choice(OPENINGS)
    text = opening + " ".join(told) + rng.choice(LAST_WORDS)
    return Story(text, plot.name, hero, pal, thing, place, plot.uses_object)
