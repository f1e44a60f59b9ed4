"""Helpers to write oracles with: find things on a page by their text, read the goal, remember what was seen on the way.

An oracle is a function from :class:`~webgym.types.Observation` to the next action; it sees what an agent sees, and nothing else. One
that must remember something is a generator: it receives the first observation, yields actions and is sent the observations that
follow. :func:`remembering` makes a task's `oracle` from it::

    def cheapest(page: Observation) -> Memory:
        page = yield press(page, "Tea")
        ...

    Task(..., oracle=remembering(cheapest))
"""

import re
from collections.abc import Callable, Generator, Iterable, Sequence

from webgym.task import Oracle, OracleEnded
from webgym.types import Action, Click, Fill, Hover, Node, Observation

Memory = Generator[Action, Observation, None]

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
    """The things that can be acted on, of these roles (of all when none is given), in reading order."""
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
    return next((fill(node, text) for node, text in pairs if not holds(node, text)), None)


def holds(node: Node, text: str) -> bool:
    """True if the field holds this text; of a field for a password, as far as its dots tell."""
    return node.value == ("•" * len(text) if "password" in node.states else text)


def tick(boxes: Sequence[Node], chosen: Iterable[Node]) -> Action | None:
    """Clicks the first box whose check mark is not as it should be; None when all are right."""
    right = {n.ref for n in chosen}
    return next((click(n) for n in boxes if ("checked" in n.states) != (n.ref in right)), None)


def texts(page: Observation) -> list[str]:
    """The texts of the page, without the things that can be acted on."""
    return [n.text for n in page.nodes if n.ref is None and n.text]


class Remembering:
    """One episode of a generator oracle. It expects the page that follows each of its actions (:mod:`webgym.policies.recovery`).

    A generator that raised has ended: asked again, it raises the same error.
    """

    def __init__(self, program: Callable[[Observation], Memory]) -> None:
        self._program = program
        self._running: Memory | None = None
        self._failed: Exception | None = None

    def __call__(self, page: Observation) -> Action:
        if self._failed is not None:
            raise self._failed
        try:
            if self._running is None:
                self._running = self._program(page)
                return next(self._running)
            return self._running.send(page)
        except StopIteration:
            self._failed = OracleEnded("the oracle is done and the episode is not over")
            raise self._failed from None
        except Exception as error:
            self._failed = error
            raise


def remembering(program: Callable[[Observation], Memory]) -> Callable[[], Oracle]:
    """A factory of oracles from a generator function: each call makes a fresh oracle for one episode."""
    return lambda: Remembering(program)
