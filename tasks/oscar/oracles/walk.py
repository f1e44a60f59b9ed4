"""The ways through the shop that oracles share. Each is a generator that yields actions, is sent the page that follows, and returns the
last one.
"""

import re
from collections.abc import Generator, Sequence

from webgym.authoring.oracle import click, fill, find, press, seek, texts, things
from webgym.types import Action, Node, Observation

Walk = Generator[Action, Observation, Observation]
MENU = "btn btn-secondary dropdown-toggle"


def below(page: Observation, words: str) -> Sequence[Node]:
    """The text after the first text that has these words. Raises LookupError."""
    for number, node in enumerate(page.nodes):
        if node.ref is None and words in (node.text or ""):
            return page.nodes[number + 1 :]
    raise LookupError(f"no text of the page has {words!r}")


def first(nodes: Sequence[Node], text: str) -> Node:
    """The first thing that says this. Raises LookupError."""
    found = next((node for node in nodes if node.ref is not None and node.text == text), None)
    if found is None:
        raise LookupError(f"nothing there says {text!r}")
    return found


def price(page: Observation) -> int:
    """The price of the product that is shown, in pence."""
    found = next((match for text in texts(page) if (match := re.fullmatch(r"£([\d,]+\.\d\d)", text))), None)
    if found is None:
        raise LookupError("the page says no price")
    return int(re.sub(r"[.,]", "", found[1]))


def product(page: Observation, title: str) -> Walk:
    """A product's page, through the search."""
    page = yield fill(find(page, "Search", "textbox"), title)
    page = yield press(page, "Search", "button")
    page = yield press(page, title, "link")
    return page


def added(page: Observation, title: str) -> Walk:
    """A product in the basket."""
    page = yield from product(page, title)
    page = yield press(page, "Add to basket", "button")
    return page


def basket(page: Observation) -> Walk:
    page = yield press(page, "View basket", "button", "link")
    return page


def counted(page: Observation, title: str, count: str) -> Walk:
    """The number of pieces of a product, changed on the basket's page."""
    nodes = page.nodes[page.nodes.index(find(page, title, "link")) :]
    box = next(node for node in nodes if node.role == "spinbutton")
    page = yield fill(box, count)
    nodes = page.nodes[page.nodes.index(find(page, title, "link")) :]
    page = yield click(first(nodes, "Update"))
    return page


def ordered(page: Observation, street: str) -> Walk:
    """The order of what is in the basket, whose page is shown, to the address with this street."""
    page = yield press(page, "Proceed to checkout", "link")
    page = yield click(first(below(page, street), "Ship to this address"))
    page = yield press(page, "Continue", "link")
    page = yield press(page, "Place order", "button")
    return page


def account(page: Observation, *names: str) -> Walk:
    """A page of the account, by links."""
    page = yield press(page, "Account", "link")
    for name in names:
        page = yield press(page, name, "link")
    return page


def filled(page: Observation, **fields: str) -> Walk:
    """Texts in fields, by the words that these begin with; `_` stands for a space."""
    for name, text in fields.items():
        box = next(node for node in things(page, "textbox") if node.text.startswith(name.replace("_", " ")))
        page = yield fill(box, text)
    return page


def has(page: Observation, text: str) -> bool:
    """True if something on the page says this."""
    return seek(page, text) is not None
