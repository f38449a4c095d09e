"""Let a finished model tell stories: `python -m storyteller.tell <folder> ["Tell me a story about a fox." ...]`.

Without a request, it continues "Once upon a time".
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("requests", nargs="*")
    parser.add_argument("--sample", action="store_true", help="draw at random, as generation_config.json says")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()

    torch.set_num_threads(1)
    torch.manual_seed(arguments.seed)
    tokenizer = AutoTokenizer.from_pretrained(arguments.folder)
    model = AutoModelForCausalLM.from_pretrained(arguments.folder, dtype=torch.float32)
    chats = [[{"role": "user", "content": request}] for request in arguments.requests]
    prompts = [tokenizer.apply_chat_template(chat, tokenize=False, add_generation_prompt=True) for chat in chats]
    for prompt in prompts or [tokenizer.bos_token + "Once upon a time"]:
        inputs = tokenizer(prompt, add_special_tokens=False, return_tensors="pt")
        if arguments.sample:
            output = model.generate(**inputs)
        else:
            output = model.generate(**inputs, do_sample=False, temperature=None, top_k=None, top_p=None)
        print(tokenizer.decode(output[0]), f"({output.shape[1]} ids)\n")


if __name__ == "__main__":
    main()
