"""Conversations: somebody asks for a story about something, and gets one that is about it."""

from __future__ import annotations

import random

from . import words
from .cast import article, capital, invented
from .grammar import Wish, tell

Message = dict[str, str]

ASK_ABOUT: tuple[str, ...] = (
    "Tell me a story about {x}.", "Tell me a story about {x}", "tell me a story about {x}",
    "Can you tell me a story about {x}?", "Could you tell me a story about {x}?", "Please tell me a story about {x}.",
    "Write a story about {x}.", "Write a short story about {x}.", "I want to hear a story about {x}.",
    "I would like a story about {x}, please.", "A story about {x}, please.", "Make up a story about {x}!",
    "{X}, please!", "Do you know a story about {x}?",
)
ASK_ANY: tuple[str, ...] = (
    "Tell me a story.", "Tell me a story", "tell me a story", "Please tell me a story.", "Can you tell me a story?",
    "Write a short story.", "I want to hear a story.", "Tell me a bedtime story.", "Once upon a time...",
)
ASK_ANOTHER: tuple[str, ...] = (
    "Now tell me one about {x}.", "That was nice! Now one about {x}, please.", "Another one, about {x}.",
    "Thank you! Tell me a story about {x}.",
)
SMALL_TALK: tuple[tuple[tuple[str, ...], tuple[str, ...]], ...] = (
    (("Hello!", "Hello", "Hi!", "Hi", "hi", "Hey!", "Good morning!"),
     ("Hello! What should my story be about?", "Hello! Would you like to hear a story?")),
    (("Thank you!", "Thanks!", "thanks", "That was nice!", "I like it."),
     ("You are welcome! Would you like to hear another story?", "I am glad that you like it. Ask me for another one!")),
    (("Who are you?", "What are you?", "What can you do?", "who are you", "Help"),
     ("I am Storyteller, a very small language model. I can only tell short stories. What should my story be about?",)),
)
SYSTEM_TEXTS: tuple[str, ...] = (
    "You tell short stories for children.", "You are a helpful assistant.", "You are a friendly storyteller.",
)


def _hero(rng: random.Random) -> tuple[str, str]:
    """A kind to ask for, and a name in a part of the cases."""
    kinds = {**words.ANIMALS, **words.CREATURES, **words.PEOPLE, **words.SEA_ANIMALS}
    kind = invented(rng) if rng.random() < 0.12 else rng.choice(tuple(kinds))
    if rng.random() > 0.2:
        return kind, ""
    he = words.PEOPLE.get(kind, "") or rng.choice(("he", "she"))
    if rng.random() < 0.3:
        return kind, capital(invented(rng))
    return kind, rng.choice(words.GIRL_NAMES if he == "she" else words.BOY_NAMES)


def _thing(rng: random.Random) -> str:
    return invented(rng) if rng.random() < 0.12 else rng.choice(words.OBJECTS)


def ask(rng: random.Random) -> tuple[str, Wish]:
    """Words for what a story shall be about, such as "a fox and a lantern", and the wish they stand for."""
    roll = rng.random()
    kind, name = _hero(rng)
    hero = article(kind) + (f" named {name}" if name else "")
    thing = _thing(rng)
    place = rng.choice(tuple(words.PLACES))
    preposition = words.PLACES[place][0]
    if roll < 0.40:
        return hero, Wish(hero=kind, hero_name=name)
    if roll < 0.55:
        return article(thing), Wish(thing=thing)
    if roll < 0.63:
        return rng.choice((f"the {place}", article(place))), Wish(place=place)
    if roll < 0.77:
        return f"{hero} and {article(thing)}", Wish(hero=kind, hero_name=name, thing=thing)
    if roll < 0.88:
        other, _ = _hero(rng)
        if other != kind:
            return f"{hero} and {article(other)}", Wish(hero=kind, hero_name=name, pal=other)
    if roll < 0.96:
        return f"{hero} {preposition} the {place}", Wish(hero=kind, hero_name=name, place=place)
    return f"{article(thing)} {preposition} the {place}", Wish(thing=thing, place=place)


def _story_turn(rng: random.Random, phrases: tuple[str, ...]) -> list[Message]:
    x, wish = ask(rng)
    request = rng.choice(phrases).format(x=x, X=capital(x))
    return [{"role": "user", "content": request}, {"role": "assistant", "content": tell(rng, wish).text}]


def _talk_turn(rng: random.Random) -> list[Message]:
    questions, answers = rng.choice(SMALL_TALK)
    return [{"role": "user", "content": rng.choice(questions)}, {"role": "assistant", "content": rng.choice(answers)}]


def converse(rng: random.Random) -> list[Message]:
    """One conversation of one or two turns, at times led by a system message."""
    messages: list[Message] = []
    if rng.random() < 0.12:
        messages.append({"role": "system", "content": rng.choice(SYSTEM_TEXTS)})
    roll = rng.random()
    if roll < 0.06:
        messages += _talk_turn(rng)
    if roll < 0.12:
        request = {"role": "user", "content": rng.choice(ASK_ANY)}
        messages += [request, {"role": "assistant", "content": tell(rng).text}]
    else:
        messages += _story_turn(rng, ASK_ABOUT)
    if rng.random() < 0.10:
        messages += _story_turn(rng, ASK_ANOTHER) if rng.random() < 0.6 else _talk_turn(rng)
    return messages
