"""Oracles of goals that a single mail answers."""

import re

from webgym.authoring.oracle import Memory, click, press, quoted
from webgym.types import Observation, Stop

from .walk import row, solves, texts_of

SAYS = {
    "door code": r"door code is (\w+)\.",
    "booking number": r"booking number is (\w+)\.",
    "locker": r"in locker (\w+)\.",
    "phone extension": r"phone extension (\w+)\.",
    "seat": r"the seat (\w+) for you",
}


@solves("look-up")
def look_up(page: Observation) -> Memory:
    name, subject = quoted(page)
    asked = re.sub(r'"[^"]*"', "", page.goal)  # a subject may have such a word, too
    what = next(what for what in SAYS if what in asked)
    page = yield click(row(page, name, subject))
    yield Stop(re.findall(SAYS[what], texts_of(page))[-1])


@solves("star")
def star(page: Observation) -> Memory:
    name, subject = quoted(page)
    page = yield click(row(page, name, subject))
    yield press(page, "Star", "button")
    yield Stop()
