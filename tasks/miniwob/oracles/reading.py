"""How the oracles read a page: find things by what they say, and read the goal."""

import re
from collections.abc import Iterable, Sequence

from webgym.types import Action, Click, Fill, Hover, Node, Observation

NUMBERS = {"first": 1, "second": 2, "third": 3}
FIELDS = ("textbox", "searchbox", "spinbutton")


def quoted(page: Observation) -> list[str]:
    """The double-quoted strings of the goal, in order."""
    return re.findall(r'"([^"]*)"', page.goal)


def ordinal(page: Observation) -> int:
    """The first ordinal number of the goal ("3rd" is 3)."""
    return int(wanted(page, r"(\d+)(?:st|nd|rd|th)")[0])


def wanted(page: Observation, pattern: str) -> tuple[str, ...]:
    """The groups of a pattern in the goal; raises LookupError when the goal does not read so."""
    match = re.search(pattern, page.goal)
    if match is None:
        raise LookupError(f"the goal {page.goal!r} does not match {pattern!r}")
    return match.groups()


def things(page: Observation, *roles: str) -> list[Node]:
    """What can be acted on, of these roles (of all when none is given), in reading order."""
    return [n for n in page.nodes if n.ref is not None and (not roles or n.role in roles)]


def fields(page: Observation) -> list[Node]:
    """The text fields, in reading order."""
    return things(page, *FIELDS)


def seek(page: Observation, text: str, *roles: str) -> Node | None:
    """The thing that says `text`, or None. Exact case comes before any case."""
    found = [n for n in things(page, *roles) if n.text.casefold() == text.casefold()]
    exact = [n for n in found if n.text == text]
    return (exact or found or [None])[0]


def find(page: Observation, text: str, *roles: str) -> Node:
    """The thing that says `text`; raises LookupError when there is none."""
    node = seek(page, text, *roles)
    if node is None:
        raise LookupError(f"nothing on the page says {text!r}")
    return node


def click(node: Node) -> Click:
    """A click on this thing."""
    assert node.ref is not None
    return Click(node.ref)


def hover(node: Node) -> Hover:
    """The pointer over this thing."""
    assert node.ref is not None
    return Hover(node.ref)


def press(page: Observation, text: str, *roles: str) -> Click:
    """A click on the thing that says `text`."""
    return click(find(page, text, *roles))


def fill(node: Node, text: str) -> Fill:
    """Put this text in this field."""
    assert node.ref is not None
    return Fill(node.ref, text)


def fill_in(pairs: Iterable[tuple[Node, str]]) -> Action | None:
    """Fills the first field that does not hold its text yet; None when all do."""
    return next((fill(node, text) for node, text in pairs if node.value != text), None)


def tick(boxes: Sequence[Node], chosen: Iterable[Node]) -> Action | None:
    """Clicks the first box whose check mark is not as it should be; None when all are right."""
    right = {n.ref for n in chosen}
    return next((click(n) for n in boxes if ("checked" in n.states) != (n.ref in right)), None)


def texts(page: Observation) -> list[str]:
    """What the page says, without what can be acted on."""
    return [n.text for n in page.nodes if n.ref is None and n.text]
