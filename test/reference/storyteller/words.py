"""The words of the story grammar: who, what and where a story can be about.

Everything here is plain data. The lists are short enough that a model of two million parameters meets each word
many hundred times, and long enough that two stories are seldom alike.
"""

from __future__ import annotations

GIRL_NAMES: tuple[str, ...] = (
    "Lily", "Mia", "Anna", "Rosie", "Ella", "Nora", "Ruby", "Clara", "Daisy", "Ivy", "Maya", "Zoe", "Luna", "Hazel",
    "Olive", "Penny", "Tilly", "Grace", "Amy", "Emma", "Lucy", "Sara", "Molly", "Poppy", "June", "Ada", "Bella",
    "Wren", "Willow", "Nina",
)

BOY_NAMES: tuple[str, ...] = (
    "Tom", "Ben", "Max", "Sam", "Leo", "Finn", "Jack", "Oscar", "Theo", "Hugo", "Milo", "Toby", "Otto", "Felix",
    "Rusty", "Barney", "Charlie", "Oliver", "Noah", "Henry", "Eli", "Gus", "Jasper", "Pip", "Teddy", "Bruno", "Rory",
    "Archie", "Ned", "Louis",
)

#: Sounds for invented names and creatures. They teach the model to copy a word it has never seen.
SYLLABLES: tuple[str, ...] = (
    "ba", "bo", "da", "do", "fi", "ga", "go", "ka", "ki", "la", "lo", "lu", "ma", "mi", "mo", "na", "ni", "no", "pa",
    "po", "ra", "ri", "ro", "sa", "su", "ta", "ti", "to", "va", "vi", "wa", "wi", "ya", "za", "zi", "zu", "bri", "cla",
    "dra", "flo", "gri", "plu", "sno", "tru",
)

#: kind -> how it moves (past tense). Land animals and birds.
ANIMALS: dict[str, str] = {
    "fox": "trotted", "rabbit": "hopped", "bear": "wandered", "mouse": "scurried", "cat": "strolled",
    "dog": "trotted", "owl": "flew", "squirrel": "scurried", "hedgehog": "wandered", "frog": "hopped",
    "duck": "waddled", "turtle": "wandered", "elephant": "wandered", "lion": "strolled", "tiger": "strolled",
    "monkey": "skipped", "horse": "trotted", "pony": "trotted", "cow": "wandered", "sheep": "wandered",
    "pig": "trotted", "goat": "trotted", "bird": "flew", "robin": "flew", "crow": "flew", "parrot": "flew",
    "penguin": "waddled", "goose": "waddled", "hen": "scurried", "deer": "trotted", "wolf": "trotted",
    "badger": "wandered", "beaver": "waddled", "otter": "wandered", "panda": "wandered", "kangaroo": "hopped",
    "snail": "crept", "bee": "flew", "ladybug": "flew", "butterfly": "flew", "ant": "scurried", "spider": "crept",
    "kitten": "skipped", "puppy": "trotted", "camel": "wandered", "giraffe": "strolled", "donkey": "trotted",
    "koala": "wandered", "lizard": "crept", "bat": "flew", "mole": "crept", "zebra": "trotted",
}

#: Sea creatures stay in the water, so they also get places of their own.
SEA_ANIMALS: dict[str, str] = {
    "fish": "swam", "whale": "swam", "dolphin": "swam", "crab": "crept", "octopus": "swam", "seal": "swam",
    "shark": "swam", "starfish": "crept", "seahorse": "swam",
}

#: kind -> how it moves. Creatures of fairy tales.
CREATURES: dict[str, str] = {
    "dragon": "flew", "robot": "rolled", "unicorn": "trotted", "giant": "wandered", "monster": "wandered",
    "ghost": "floated", "dinosaur": "wandered", "snowman": "wandered", "troll": "wandered", "star": "floated",
    "cloud": "floated", "alien": "floated",
}

#: kind -> its pronoun, where the word itself decides, or "" where either will do.
PEOPLE: dict[str, str] = {
    "girl": "she", "boy": "he", "king": "he", "queen": "she", "prince": "he", "princess": "she", "knight": "",
    "pirate": "", "wizard": "he", "witch": "she", "farmer": "", "baker": "", "sailor": "", "teacher": "",
    "doctor": "", "painter": "", "gardener": "", "astronaut": "", "fisherman": "he", "grandmother": "she",
    "grandfather": "he", "fairy": "she", "mermaid": "she", "inventor": "", "explorer": "", "clown": "", "chef": "",
    "shepherd": "",
}

#: Nobody of these is called old or wise.
YOUNG: frozenset[str] = frozenset({"girl", "boy", "kitten", "puppy", "prince", "princess"})

HERO_ADJECTIVES: tuple[str, ...] = (
    "little", "small", "young", "brave", "curious", "shy", "cheerful", "clever", "gentle", "quiet", "friendly",
    "playful", "kind", "tiny", "busy", "silly",
)
PAL_ADJECTIVES: tuple[str, ...] = ("kind", "old", "wise", "friendly", "gentle", "clever", "cheerful", "big")

OBJECTS: tuple[str, ...] = (
    "kite", "ball", "doll", "hat", "scarf", "book", "lantern", "key", "bell", "drum", "boat", "map", "basket",
    "umbrella", "coin", "ring", "necklace", "balloon", "flute", "whistle", "blanket", "box", "crayon", "cup",
    "mirror", "feather", "shell", "button", "watch", "clock", "spoon", "pillow", "bicycle", "wagon", "teapot",
    "compass", "puzzle", "marble", "mitten", "boot", "bag", "violin", "guitar", "telescope", "paintbrush", "puppet",
    "ribbon", "candle", "crown", "pebble", "gem", "sled", "train", "car", "rocket", "sword", "camera", "computer",
    "pencil", "jar", "lamp", "wheel", "trumpet", "coat", "shoe", "cake", "pie", "cookie", "pumpkin", "flower", "egg",
    "apple", "letter", "picture", "toy", "teddy", "ladder", "bucket", "piano", "magic wand", "snow globe",
    "music box", "toy boat", "teddy bear", "paper plane",
)
OBJECT_ADJECTIVES: tuple[str, ...] = (
    "red", "blue", "green", "yellow", "golden", "silver", "shiny", "tiny", "little", "old", "bright", "pretty",
    "beautiful", "special", "purple", "striped",
)

#: place -> (preposition, three spots where something may be found there)
PLACES: dict[str, tuple[str, tuple[str, str, str]]] = {
    "forest": ("in", ("under a pile of leaves", "behind an old oak tree", "beside a mossy log")),
    "beach": ("at", ("under a wooden boat", "behind a sandy rock", "beside a tide pool")),
    "hill": ("on", ("under a round bush", "behind a tall stone", "beside a patch of clover")),
    "garden": ("in", ("under the rose bush", "behind the wall", "beside the tomatoes")),
    "farm": ("on", ("under the hay", "behind the barn", "beside the fence")),
    "river": ("by", ("under the bridge", "behind the reeds", "beside a flat stone")),
    "lake": ("by", ("under the dock", "behind the reeds", "beside an old canoe")),
    "park": ("in", ("under a bench", "behind the swings", "beside the fountain")),
    "market": ("at", ("under a table of apples", "behind a stack of boxes", "beside the flower stand")),
    "village": ("in", ("under a cart", "behind the well", "beside the bakery")),
    "castle": ("in", ("under the stairs", "behind a heavy curtain", "beside the throne")),
    "mountain": ("on", ("under a ledge", "behind a pine tree", "beside a cold spring")),
    "meadow": ("in", ("under the tall grass", "behind a hedge", "beside a patch of daisies")),
    "cave": ("in", ("under a rock", "behind a pillar of stone", "beside a deep pool")),
    "school": ("at", ("under a desk", "behind the door", "beside the blackboard")),
    "library": ("in", ("under a chair", "behind a shelf", "beside a stack of books")),
    "harbor": ("at", ("under a net", "behind a barrel", "beside an anchor")),
    "island": ("on", ("under a palm tree", "behind a big rock", "beside a pile of coconuts")),
    "desert": ("in", ("under a cactus", "behind a sand dune", "beside a dry bush")),
    "jungle": ("in", ("under a giant leaf", "behind a curtain of vines", "beside a waterfall")),
    "pond": ("by", ("under a willow tree", "behind the cattails", "beside a lily pad")),
    "orchard": ("in", ("under an apple tree", "behind a basket of pears", "beside the gate")),
    "valley": ("in", ("under a bridge", "behind a stone wall", "beside a stream")),
    "city": ("in", ("under a bus seat", "behind the clock tower", "beside a shop window")),
    "lighthouse": ("at", ("under the steps", "behind the big lamp", "beside the window")),
    "playground": ("at", ("under the slide", "behind the swings", "beside the sandbox")),
    "zoo": ("at", ("under a bench", "behind the ticket stand", "beside the gate")),
    "moon": ("on", ("under a silver rock", "behind a hill of dust", "beside a crater")),
}

#: The same for those who live in the water.
SEA_PLACES: dict[str, tuple[str, tuple[str, str, str]]] = {
    "sea": ("in", ("under a flat rock", "behind the seaweed", "beside a sunken ship")),
    "ocean": ("in", ("under a big shell", "behind the seaweed", "beside a sunken ship")),
    "reef": ("on", ("under a pink coral", "behind a sponge", "beside a giant clam")),
    "lagoon": ("in", ("under a floating log", "behind the coral", "beside a smooth stone")),
    "bay": ("in", ("under an old boat", "behind a rock", "beside a rope")),
}

FOODS: tuple[str, ...] = (
    "warm bread", "sweet berries", "red apples", "honey cakes", "cheese", "cookies", "pancakes", "soup", "cherries",
    "carrots", "nuts", "plums",
)
SKILLS: tuple[str, ...] = ("whistle", "dance", "paint", "juggle", "sing", "read", "tell jokes", "play the drum")
FEARS: tuple[str, ...] = ("the dark", "thunder", "loud noises", "deep water", "high places", "shadows", "strangers")
SEEDS: tuple[str, ...] = ("sunflower", "pumpkin", "rose", "apple", "bean", "tulip", "melon", "strawberry")
GIFTS: tuple[str, ...] = ("a cake", "a song", "a card", "a crown of flowers", "a picture", "a paper star", "a pie")
GAMES: tuple[str, ...] = ("hide and seek", "tag", "catch", "a guessing game", "jumping games", "marbles")
HOMES: tuple[str, ...] = ("a small house", "a cozy home", "a tiny cottage", "a quiet corner", "a little hut")
