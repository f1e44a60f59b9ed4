"""Content of the forum: its categories, people, topics and comments. Everything follows from one seed.

It is read by `prepare.py`, which writes it into the forum, and by the goals, which ask for it.
"""

import random
from dataclasses import dataclass

CLOCK_S = 1_767_600_000  # 2026-01-05 08:00 UTC, when episodes begin
ME, SESSION = "ann", "c8e07f3d259d4c1f0ab27e4d53a1c6b8"
PEOPLE = ("ann", "bert", "cora", "dilip", "eve", "farid")
CATEGORIES = ("Boats", "Trips", "Repairs", "Weather", "Market", "Small talk")
SUBJECTS = {
    "Boats": ("Which keel for shallow water", "Names for a dinghy", "Wood or plastic hulls", "The smallest cabin", "Old engines"),
    "Trips": ("A week along the coast", "Night sailing for two", "Where to anchor for free", "Crossing with children", "Maps on paper"),
    "Repairs": ("A leak near the mast", "Patching a sail", "Rust on the anchor", "Varnish that stays", "Loose handrails"),
    "Weather": ("Fog in the morning", "Reading the clouds", "The storm of last May", "Cold hands at sea", "Wind over tide"),
    "Market": ("Selling a spare compass", "Looking for a trailer", "Free ropes to collect", "Fair price for a tender", "Swap of fenders"),
    "Small talk": ("Songs for rowing", "The best harbour soup", "Dogs on board", "Seagulls and sandwiches", "Books about islands"),
}
SAYINGS = (
    "I would ask the harbour master.", "We did it last summer without trouble.", "Take twice as much rope as you think.",
    "My uncle says the opposite.", "That depends on the tide.", "A photo would help.", "Please tell us how it went.",
    "Nobody should do that alone.",
)  # fmt: skip


@dataclass(frozen=True)
class Comment:
    """A comment, numbered as in the database."""

    id: int
    user: str
    text: str


@dataclass(frozen=True)
class Topic:
    """A topic, numbered as in the database; the first comment is its own text."""

    id: int
    category: str
    title: str
    user: str
    comments: tuple[Comment, ...]


def _topics() -> tuple[Topic, ...]:
    rng, found, number = random.Random(21), [], 0
    pairs = [(category, title) for category, titles in SUBJECTS.items() for title in titles]
    rng.shuffle(pairs)
    for category, title in pairs:
        people = rng.sample(PEOPLE, rng.randint(2, 5))  # nobody speaks twice, so that a name means one comment
        comments = []
        for user in people:
            number += 1
            text = f"What do you know about it: {title.lower()}?" if user == people[0] else rng.choice(SAYINGS)
            comments.append(Comment(number, user, text))
        found.append(Topic(len(found) + 1, category, title, people[0], tuple(comments)))
    return tuple(found)


TOPICS = _topics()
