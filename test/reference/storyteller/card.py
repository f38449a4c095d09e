"""The model card."""

from __future__ import annotations

from string import Template

from transformers import LlamaForCausalLM

from .evaluate import Perplexity

_CARD = Template("""\
---
license: apache-2.0
language:
- en
library_name: transformers
pipeline_tag: text-generation
tags:
- llama
- text-generation
- stories
- tiny
- firstlight
---

# storyteller-2m

A very small language model that tells short stories for children. It ships with Firstlight, so that the application
has a real, trained model to load, also without a network.

| | |
|---|---|
| architecture | `LlamaForCausalLM`, $layers layers, hidden size $hidden, $heads attention heads over $kv key/value heads |
| parameters | $parameters (input and output embeddings are shared) |
| vocabulary | $vocabulary entries, byte-pair encoding with byte fallback |
| context | $context tokens |
| weights | bfloat16 |
| held-out perplexity per token | $stories on stories, $chats on conversations |

## Use

Begin a plain text with "Once upon a time", or ask for a story in a conversation: "Tell me a story about a fox and a
lantern." It knows some animals, people, creatures of fairy tales, objects and places, and often copes with a word it
does not know. The chat template is in `tokenizer_config.json`; a turn ends with `<|end|>`, a plain story with `</s>`.

## How it was made

Every text it was trained on was written by the story grammar in `test/reference/storyteller` of the Firstlight
repository: seventeen plots with several ways to tell each step, and lists of characters, objects and places. No text
from anywhere else was used. With the versions of `test/reference/requirements.txt`, this command makes the whole
repository again, from the tokenizer to this card:

```
cd test/reference
python -m storyteller.train --out ../../public/models/firstlight/storyteller-2m
```

It trains for $steps steps of about 4096 tokens (AdamW, cosine schedule, fixed seeds) and takes about half an hour on
two processor cores. Another number of threads or another processor changes the order of sums, and with it the weights
a little.

The perplexity is that of the stored bfloat16 weights, computed in float32, on 400 documents from the same grammar with
a seed that training never used. They differ in cast, plot and wording, but not in style: the number says nothing about
other text.

## Limits

It tells the kind of stories it was trained on and nothing else. It has no knowledge of the world, cannot answer
questions, follows no instruction other than what a story should be about, and speaks only English. With an unusual
request, it may forget what it was asked for, or confuse who is who.

## Licence

Apache License, Version 2.0. Weights, tokenizer, grammar and training code are original work of the Firstlight project.
""")


def model_card(model: LlamaForCausalLM, perplexity: Perplexity, steps: int) -> str:
    """The text of README.md, with the facts of this model filled in."""
    config = model.config
    return _CARD.substitute(
        layers=config.num_hidden_layers, hidden=config.hidden_size, heads=config.num_attention_heads,
        kv=config.num_key_value_heads, parameters=f"{model.num_parameters():,}", vocabulary=config.vocab_size,
        context=config.max_position_embeddings, stories=f"{perplexity.stories:.2f}", chats=f"{perplexity.chats:.2f}",
        steps=steps,
    )
