"""Firstlight's bundled model: its story grammar, tokenizer, training and model card."""
