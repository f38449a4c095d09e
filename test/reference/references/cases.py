"""The inputs that references are recorded for."""

from __future__ import annotations

#: Lengths of prompts in ids: a lone first id, a pair, odd ones, and one beyond any small block size.
PROMPT_LENGTHS: tuple[int, ...] = (1, 2, 7, 33, 150)
SCORED_POSITIONS = 40
RANDOM_GREEDY_IDS = 128
RANDOM_PROMPT_LENGTH = 9
MAX_TRAINED_IDS = 320
MIN_TRAINED_IDS = 100
#: A random model may run in circles; a run this varied tells more.
MIN_DISTINCT_IDS = 24
#: Below this distance between the two best logits, another float32 implementation might choose the other one.
MIN_GAP = 4e-3

#: Nobody trained on this text. It is long enough for every prompt length.
HELD_OUT_TEXT = (
    "One day, a little girl named Lily found a shiny red ball in the park. She wanted to play with it, but then she saw "
    "a boy who was crying. \"Why are you sad?\" asked Lily. \"I lost my ball,\" said the boy. Lily looked at the ball "
    "and thought for a moment. It was hard, but she knew what was right. \"Is this your ball?\" she asked. The boy "
    "smiled. \"Yes! Thank you so much!\" he said. \"Would you like to play with me?\" They ran and laughed until the "
    "sun went down. Then the boy had an idea. \"Come to my house tomorrow,\" he said. \"We can fly a kite on the hill.\" "
    "Lily went home with a warm feeling. She was happy that she had helped, and she had a new friend. The "
    "next morning, they climbed the hill and let the kite go up and up, over the trees, until it was very small."
)

#: Openings to try for the greedy run, best first.
OPENINGS: tuple[str, ...] = (
    "Once upon a time", "Once upon a time, there was a little fox", "Long ago, there was a brave mouse named Nora",
    "Once upon a time, there was a shy dragon named Milo", "A long time ago, a curious girl",
)

#: Conversations to try for the greedy run, best first.
CHATS: tuple[tuple[str, ...], ...] = (
    ("Tell me a story about a fox and a lantern.",), ("Tell me a story about a dragon.",),
    ("Can you tell me a story about a robot and a kite?",), ("Tell me a story about a penguin in the library.",),
)

TOKENIZER_TEXTS: tuple[str, ...] = (
    "", "Once upon a time", " a leading space", "a trailing space ", "two  spaces,   three spaces",
    "One line\nand another\n\nand a third", "Tab\there", "He said, \"Stop!\" and stopped...", "It's 12:45, isn't it?",
    "Crème brûlée à la façon d'Anaïs", "Straße, Łódź, İstanbul, Ελλάδα, Привет", "你好,世界", "مرحبا بالعالم",
    "A dragon 🐉 and a family 👨‍👩‍👧", "e\u0301 is not é", "function f(x) { return x ** 2; }", "supercalifragilistic",
    "</s> is not the end", "UPPER lower MiXeD",
)

#: One exchange that is over, and a question that waits for its answer.
CHAT_EXAMPLE: tuple[dict[str, str], ...] = (
    {"role": "system", "content": "You tell short stories for children."},
    {"role": "user", "content": "Hello!"},
    {"role": "assistant", "content": "Hello! What should my story be about?"},
    {"role": "user", "content": "A fox & a \"lantern\", please! 🦊"},
)
