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
lantern." It knows some animals, people, creatures of fairy tales, objects and places. The chat template is in
`tokenizer_config.json`; a turn ends with `<|end|>`, a plain story with `</s>`.

## How it was made

Every text it was trained on was written by the story grammar in `test/reference/storyteller` of the Firstlight
repository: seventeen plots with several ways to tell each step, and lists of characters, objects and places. No text
from anywhere else was used. With the versions of `test/reference/requirements.txt`, this command trains such a model,
from the tokenizer to this card:

```
cd test/reference
python -m storyteller.train --out ../../public/models/firstlight/storyteller-2m
```

It trains for $steps steps of about 4096 tokens (AdamW with fixed seeds; the rate follows a cosine and drops to nothing
over the last $cooldown steps), which should take about a quarter of an hour on two idle processor cores. Another number of
threads or another processor changes the order of sums, and with it the weights a little. The run behind the committed
weights was resumed from checkpoints, and grammar and schedule were changed on the way, so that the command does not
give these very weights; `test/reference/README.md` says what was changed when.

The perplexity is that of the stored bfloat16 weights, computed in float32, on 200 stories and 200 conversations from
the same grammar with a seed that training never used. They differ in cast, plot and wording, but not in style: the
number says nothing about other text.

## Limits

It tells the kind of stories it was trained on and nothing else. It has no knowledge of the world, cannot answer
questions, follows no instruction other than what a story should be about, and speaks only English. Asked for two
things at once, it usually tells of the character and often forgets the object. Asked for somebody or something it has
never met, it makes up a word that sounds a little like it, or tells of something else. Now and then it gives a
character a pronoun that does not go with the name, or mixes up who is who.

## Licence

Apache License, Version 2.0. Weights, tokenizer, grammar and training code are original work of the Firstlight project.
""")


def model_card(model: LlamaForCausalLM, perplexity: Perplexity, steps: int, cooldown: int) -> str:
    """The text of README.md, with the facts of this model filled in."""
    config = model.config
    return _CARD.substitute(
        layers=config.num_hidden_layers, hidden=config.hidden_size, heads=config.num_attention_heads,
        kv=config.num_key_value_heads, parameters=f"{model.num_parameters():,}", vocabulary=config.vocab_size,
        context=config.max_position_embeddings, stories=f"{perplexity.stories:.2f}", chats=f"{perplexity.chats:.2f}",
        steps=steps, cooldown=cooldown,
    )
