"""Everything recorded about one model, as JSON beside a file of logits."""

from __future__ import annotations

import random
from typing import Any

import tokenizers
import torch
import transformers
from tokenizers import Tokenizer
from transformers import AutoTokenizer, PreTrainedModel

from . import cases
from .greedy import Greedy, decode
from .store import LogitStore
from .subjects import Subject

Json = dict[str, Any]


def _random_ids(subject: Subject, vocabulary: int, length: int, seed: int) -> list[int]:
    rng = random.Random(seed)
    ids = [rng.randrange(vocabulary) for _ in range(length)]
    return ids if subject.first_id is None else [subject.first_id, *ids[1:]]


def _text_ids(subject: Subject, model: PreTrainedModel, tokenizer: Tokenizer | None) -> list[int]:
    """Ids to predict: a held-out text, or noise for a model without a language."""
    longest = max(cases.PROMPT_LENGTHS)
    if tokenizer is None:
        return _random_ids(subject, model.config.vocab_size, longest, seed=1)
    ids = tokenizer.encode(cases.HELD_OUT_TEXT).ids
    if len(ids) < longest:
        raise RuntimeError(f"{subject.name}: the held-out text has only {len(ids)} ids")
    return ids


@torch.no_grad()
def _prompts(model: PreTrainedModel, ids: list[int], store: LogitStore) -> list[Json]:
    """The logits after the last id of prompts of several lengths."""
    prompts = []
    for length in cases.PROMPT_LENGTHS:
        logits = model(input_ids=torch.tensor([ids[:length]])).logits[0, -1]
        place = {"file": store.file, "offset": store.add(logits), "length": logits.numel()}
        prompts.append({"name": f"length-{length}", "inputIds": ids[:length], "logits": place})
    return prompts


@torch.no_grad()
def _scoring(model: PreTrainedModel, ids: list[int], store: LogitStore) -> Json:
    """The logits at every position of a text: row i predicts id i + 1."""
    scored = ids[: cases.SCORED_POSITIONS]
    logits = model(input_ids=torch.tensor([scored])).logits[0]
    place = {"file": store.file, "offset": store.add(logits), "shape": list(logits.shape)}
    return {"inputIds": scored, "logits": place}


def _greedy_json(prompt: list[int], run: Greedy) -> Json:
    return {"inputIds": prompt, "ids": run.ids, "minTop2Gap": round(run.min_gap, 6)}


def _random_greedy(subject: Subject, model: PreTrainedModel) -> Json:
    """The first random prompt with a varied continuation, clear at every step, that never meets an end-of-text id."""
    for seed in range(1000):
        prompt = _random_ids(subject, model.config.vocab_size, cases.RANDOM_PROMPT_LENGTH, seed)
        run = decode(model, prompt, cases.RANDOM_GREEDY_IDS)
        met = set(run.ids)
        if run.min_gap > cases.MIN_GAP and len(met) >= cases.MIN_DISTINCT_IDS and not subject.ends() & met:
            return _greedy_json(prompt, run)
    raise RuntimeError(f"{subject.name}: no prompt is decided clearly enough")


def _trained_greedy(subject: Subject, model: PreTrainedModel, prompts: list[list[int]]) -> tuple[int, Json]:
    """The first prompt, and its number, whose continuation is clear, long, and comes to its end by itself."""
    for number, prompt in enumerate(prompts):
        run = decode(model, prompt, cases.MAX_TRAINED_IDS, subject.ends())
        finished = run.ids[-1] in subject.ends() and len(run.ids) >= cases.MIN_TRAINED_IDS
        if run.min_gap > cases.MIN_GAP and finished:
            return number, _greedy_json(prompt, run)
    raise RuntimeError(f"{subject.name}: no prompt is decided clearly enough")


def _without_end(tokenizer: Tokenizer, ids: list[int]) -> str:
    """The text of a finished generation. Its last id only says that it is finished."""
    return tokenizer.decode(ids[:-1], skip_special_tokens=False)


def _story(subject: Subject, model: PreTrainedModel, tokenizer: Tokenizer) -> Json:
    number, found = _trained_greedy(subject, model, [tokenizer.encode(text).ids for text in cases.OPENINGS])
    return {"prompt": cases.OPENINGS[number], **found, "text": _without_end(tokenizer, found["ids"])}


def _chats(subject: Subject, model: PreTrainedModel, tokenizer: Tokenizer) -> Json:
    """The chat template rendered, and a conversation answered."""
    dressed = AutoTokenizer.from_pretrained(subject.folder)
    rendered: str = dressed.apply_chat_template(list(cases.CHAT_EXAMPLE), tokenize=False, add_generation_prompt=True)
    ids = tokenizer.encode(rendered, add_special_tokens=False).ids
    talks = [[{"role": "user", "content": text} for text in chat] for chat in cases.CHATS]
    texts = [dressed.apply_chat_template(talk, tokenize=False, add_generation_prompt=True) for talk in talks]
    prompts = [tokenizer.encode(text, add_special_tokens=False).ids for text in texts]
    number, found = _trained_greedy(subject, model, prompts)
    return {
        "chatTemplate": {"messages": list(cases.CHAT_EXAMPLE), "rendered": rendered, "ids": ids},
        "chatGreedy": {"messages": talks[number], **found, "text": _without_end(tokenizer, found["ids"])},
    }


def _tokenizer_case(tokenizer: Tokenizer, text: str) -> Json:
    """The ids of a text, and the text they stand for, unless something in it was unknown and lost."""
    ids = tokenizer.encode(text).ids
    lost = tokenizer.model.token_to_id(tokenizer.model.unk_token) in ids
    return {"text": text, "ids": ids} | ({} if lost else {"decoded": tokenizer.decode(ids, skip_special_tokens=False)})


def record(subject: Subject) -> tuple[Json, LogitStore]:
    """Run one model through all cases."""
    model, tokenizer = subject.model(), subject.tokenizer()
    store = LogitStore(f"{subject.name}.f32")
    ids = _text_ids(subject, model, tokenizer)
    recorded: Json = {
        "model": subject.name,
        "torch": torch.__version__,
        "transformers": transformers.__version__,
        "tokenizers": tokenizers.__version__,
        "vocabSize": model.config.vocab_size,
        "prompts": _prompts(model, ids, store),
        "greedy": _story(subject, model, tokenizer) if tokenizer else _random_greedy(subject, model),
        "scoring": _scoring(model, ids, store),
    }
    if tokenizer:
        recorded["tokenizer"] = [_tokenizer_case(tokenizer, text) for text in cases.TOKENIZER_TEXTS]
    if tokenizer and subject.has_chat_template():
        recorded |= _chats(subject, model, tokenizer)
    return recorded, store
