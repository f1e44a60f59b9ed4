"""The ways through the tracker that oracles share. Each is a generator that yields actions, is sent the page that follows, and returns the
last one.
"""

import re
from collections.abc import Generator

from webgym.authoring.oracle import click, fill, find, press, texts, things
from webgym.types import Action, Node, Observation

Walk = Generator[Action, Observation, Observation]
RESULT = r"#(\d+): \w+: (.*) \((?:new|assigned|accepted|closed)[^)]*\)$"


def result(page: Observation, summary: str) -> tuple[Node, int]:
    """The link to a ticket among the results of a search, and its number. Raises LookupError."""
    for node in things(page, "link"):
        if (found := re.match(RESULT, node.text)) and found[2] == summary:
            return node, int(found[1])
    raise LookupError(f"no result is called {summary!r}")


def searched(page: Observation, text: str) -> Walk:
    """The results of a search."""
    page = yield fill(find(page, "Search:", "textbox"), text)
    page = yield press(page, "Search", "button")
    return page


def ticket(page: Observation, summary: str) -> Walk:
    """The page of a ticket, whose form is open."""
    page = yield from searched(page, summary)
    page = yield click(result(page, summary)[0])
    page = yield press(page, "Modify Ticket", "link")
    return page


def option(page: Observation, box: str, label: str) -> Walk:
    """An option of a select box, chosen unless it is already."""
    combobox = find(page, box, "combobox")
    if combobox.value == label:
        return page
    below = page.nodes[page.nodes.index(combobox) + 1 :]
    node = next((node for node in below if node.role == "option" and node.text == label), None)
    if node is None:
        raise LookupError(f"{box} has no option {label!r}")
    page = yield click(node)
    return page


def filled(page: Observation, field: str, text: str) -> Walk:
    """Text in a field."""
    page = yield fill(find(page, field, "textbox"), text)
    return page


def wiki(page: Observation, *names: str) -> Walk:
    """A page of the wiki, by links from its start page."""
    page = yield press(page, "Wiki", "link")
    for name in names:
        page = yield press(page, name, "link")
    return page


def edited(page: Observation, text: str) -> Walk:
    """The wiki page that is shown, with this text at its end."""
    page = yield press(page, "Edit this page", "button")
    box = find(page, "text", "textbox")
    page = yield fill(box, f"{box.value or ''}{text}")
    page = yield press(page, "Submit changes", "button")
    return page


def line(page: Observation, pattern: str) -> str:
    """The group of the first text of the page that matches. Raises LookupError."""
    found = next((match for text in texts(page) if (match := re.search(pattern, text))), None)
    if found is None:
        raise LookupError(f"no text of the page matches {pattern!r}")
    return found[1]
