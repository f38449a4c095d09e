"""What transformers' `generate()` chooses under the rules of a generation config, for tests of the same rules here.

Writes test/fixtures/generation-rules.json: a model that is a table (the logits after a token depend on that token alone), the
greedy ids under many settings, and the distributions that the sampling settings leave. And, for the tiny checkpoint that tests
load in a browser, greedy ids under such settings.
"""

from __future__ import annotations

import json
from typing import Any

import torch
import transformers
from transformers import AutoModelForCausalLM, GenerationConfig, GenerationMixin, PretrainedConfig, PreTrainedModel
from transformers.modeling_outputs import CausalLMOutput

from .paths import ROOT, TINY_MODELS

OUT = ROOT / "test" / "fixtures" / "generation-rules.json"
VOCABULARY = 20
TINY = "tiny-llama"

Json = dict[str, Any]

RULES: list[Json] = [
    {},
    {"no_repeat_ngram_size": 1},
    {"no_repeat_ngram_size": 2},
    {"no_repeat_ngram_size": 3},
    {"no_repeat_ngram_size": 40},
    {"suppress_tokens": [3, 7, 11]},
    {"begin_suppress_tokens": list(range(12))},
    {"suppress_tokens": [0, 1], "begin_suppress_tokens": list(range(2, 15))},
    {"bad_words_ids": [[5], [9, 2], [4, 4]]},
    {"bad_words_ids": [[2], [1, 2], [13, 6, 8]], "no_repeat_ngram_size": 2},
    {"bad_words_ids": [[19], [18], [17, 16]]},
    {"repetition_penalty": 1.3, "no_repeat_ngram_size": 2, "suppress_tokens": [4]},
    {"repetition_penalty": 0.7},
    {"min_new_tokens": 9},
    {"min_new_tokens": 9, "suppress_tokens": [6], "begin_suppress_tokens": [10, 12]},
    {"min_length": 12},
    {"forced_eos_token_id": 19, "no_repeat_ngram_size": 1},
]
PROMPTS = [[2], [5, 9, 1], [4, 4, 13, 6, 13, 6]]
END_IDS = [18, 19]

SAMPLINGS: list[Json] = [
    {"min_p": 0.05},
    {"min_p": 0.3},
    {"min_p": 1.0},
    {"temperature": 0.5, "min_p": 0.2},
    {"temperature": 1.7, "top_k": 6, "min_p": 0.4},
    {"top_k": 0, "top_p": 0.8, "min_p": 0.1},
    {"temperature": 0.8, "top_k": 9, "top_p": 0.6, "min_p": 0.02},
    {"top_k": 3, "top_p": 0.3},
    {"top_p": 0.0},
]


class TableConfig(PretrainedConfig):
    model_type = "table"


class TableModel(PreTrainedModel, GenerationMixin):
    """Logits by the last token."""

    config_class = TableConfig

    def __init__(self, config: TableConfig) -> None:
        super().__init__(config)
        self.table = torch.nn.Embedding(VOCABULARY, VOCABULARY)
        self.post_init()

    def forward(self, input_ids: torch.Tensor, **_: Any) -> CausalLMOutput:
        return CausalLMOutput(logits=self.table(input_ids))


def make_table() -> torch.Tensor:
    """Multiples of 1/32, so that JSON holds them exactly; all of a row are different."""
    generator = torch.Generator().manual_seed(11)
    rows = [torch.randperm(6 * VOCABULARY, generator=generator)[:VOCABULARY] for _ in range(VOCABULARY)]
    return (torch.stack(rows).float() - 3 * VOCABULARY) / 32


def generate(model: PreTrainedModel, prompt: list[int], rule: Json, count: int, ends: list[int]) -> list[int]:
    config = GenerationConfig(max_new_tokens=count, do_sample=False, use_cache=False, pad_token_id=0, eos_token_id=ends, **rule)
    ids = model.generate(torch.tensor([prompt]), generation_config=config)
    return ids[0, len(prompt) :].tolist()


def distribution(model: PreTrainedModel, row: int, sampling: Json) -> list[float]:
    config = GenerationConfig(do_sample=True, **sampling)
    processors = model._get_logits_processor(config, input_ids_seq_length=1, device="cpu")
    scores = processors(torch.tensor([[row]]), model.table.weight[row : row + 1].detach().clone())
    return [round(share, 6) for share in scores.softmax(-1)[0].tolist()]


def main() -> None:
    model = TableModel(TableConfig(vocab_size=VOCABULARY))
    with torch.no_grad():
        model.table.weight.copy_(make_table())
    greedy = [
        {"rule": rule, "prompt": prompt, "ids": generate(model, prompt, rule, 24, END_IDS)}
        for rule in RULES
        for prompt in PROMPTS
    ]
    sampled = [
        {"sampling": sampling, "row": row, "shares": distribution(model, row, sampling)}
        for sampling in SAMPLINGS
        for row in (0, 7)
    ]
    tiny = AutoModelForCausalLM.from_pretrained(TINY_MODELS / TINY, dtype=torch.float32, attn_implementation="eager")
    tiny.generation_config = GenerationConfig()
    prompt = [1, 45, 200, 7, 99, 31]
    plain = generate(tiny, prompt, {}, 40, [2])
    rules = [
        {},
        {"suppress_tokens": [plain[0], plain[5]], "no_repeat_ngram_size": 2, "bad_words_ids": [[plain[2]], plain[8:10]]},
        {"begin_suppress_tokens": plain[:1], "repetition_penalty": 1.1},
    ]
    recorded = {
        "transformers": transformers.__version__,
        "torch": torch.__version__,
        "endIds": END_IDS,
        "table": make_table().tolist(),
        "greedy": greedy,
        "sampled": sampled,
        "tiny": {
            "model": TINY,
            "prompt": prompt,
            "runs": [{"rule": rule, "ids": generate(tiny, prompt, rule, 40, [2])} for rule in rules],
        },
    }
    OUT.write_text(json.dumps(recorded) + "\n")
    print(f"{len(greedy)} greedy runs, {len(sampled)} distributions, {len(rules)} runs of {TINY}")


if __name__ == "__main__":
    main()
