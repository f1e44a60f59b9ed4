"""Goals about tools that are lent."""

import random

from webgym.authoring.template import Goal, Instance

from ..shelf import PEOPLE, TOOLS, Opening
from .goal import Due, holds


def draw_loans(rng: random.Random, count: int = 5) -> dict[str, str]:
    """Tools that are lent, each to somebody else."""
    return dict(zip(rng.sample(TOOLS, count), rng.sample(PEOPLE, count), strict=True))


def draw_lend(rng: random.Random) -> Instance:
    """A tool on the shelf goes to somebody."""
    loans = draw_loans(rng)
    tool, person = rng.choice([tool for tool in TOOLS if tool not in loans]), rng.choice(PEOPLE)
    return Instance({"tool": tool, "person": person}, Due(loans | {tool: person}), Opening(loans))


def draw_borrower(rng: random.Random) -> Instance:
    """A question about a tool; nothing may be changed."""
    loans = draw_loans(rng)
    tool = rng.choice(list(loans))
    return Instance({"tool": tool}, Due(loans, answer=loans[tool]), Opening(loans))


GOALS = (Goal("lend", draw_lend, holds), Goal("borrower", draw_borrower, holds))
