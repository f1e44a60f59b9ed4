"""Ways through the site that several oracles take. Each is a generator that yields actions and returns the page it leads to."""

from collections.abc import Callable, Generator, Iterable

from webgym.authoring.oracle import Memory, click, fill, find, press, things
from webgym.types import Action, Node, Observation

Way = Generator[Action, Observation, Observation]

Program = Callable[[Observation], Memory]

ORACLES: dict[str, Program] = {}


def solves(name: str) -> Callable[[Program], Program]:
    """Registers the program as the oracle of the task of this name, and of its twin."""

    def add(program: Program) -> Program:
        ORACLES[name] = program
        return program

    return add


def rows(page: Observation, *words: str) -> list[Node]:
    """The mails of a list that have all these words. A subject also matches longer subjects that contain it."""
    return [n for n in things(page, "link") if all(word in n.text for word in words)]


def row(page: Observation, *words: str) -> Node:
    """The first of these mails. Raises LookupError when there is none."""
    found = rows(page, *words)
    if not found:
        raise LookupError(f"no mail of the list says {' and '.join(words)}")
    return found[0]


def enter(page: Observation, *pairs: tuple[str, str]) -> Way:
    """Fills fields, each named by its label."""
    for label, text in pairs:
        page = yield fill(find(page, label, "textbox", "searchbox"), text)
    return page


def search(page: Observation, text: str) -> Way:
    """The results of a search for this text."""
    page = yield from enter(page, ("Search mail", text))
    page = yield press(page, "Search", "button")
    return page


def walk(page: Observation, *steps: str) -> Way:
    """Presses one thing after another, each named by its text."""
    for step in steps:
        page = yield press(page, step)
    return page


def beside(page: Observation, text: str, button: str) -> Node:
    """The button of this name that comes first after this text."""
    nodes = list(page.nodes)
    at = next(i for i, node in enumerate(nodes) if text in node.text)
    return next(node for node in nodes[at:] if node.role == "button" and node.text == button)


def texts_of(page: Observation) -> str:
    """The whole text of the page."""
    return "\n".join(node.text for node in page.nodes)


def tick_all(page: Observation, boxes: Iterable[str]) -> Way:
    """Ticks the boxes whose text has these words."""
    for name in boxes:
        page = yield click(find(page, name, "checkbox"))
    return page
