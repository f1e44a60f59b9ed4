"""Oracles of the goals about tools that are lent. Each yields an action, is sent the page that follows, and so on."""

from webgym.authoring.oracle import Memory, press, quoted, texts
from webgym.types import Observation, Stop


def lend(page: Observation) -> Memory:
    tool, person = quoted(page)
    page = yield press(page, tool, "link")
    yield press(page, f"Lend to {person}", "button")
    yield Stop()


def borrower(page: Observation) -> Memory:
    (tool,) = quoted(page)
    page = yield press(page, tool, "link")
    line = next(text for text in texts(page) if text.startswith("Lent to "))
    yield Stop(line.removeprefix("Lent to ").rstrip("."))
