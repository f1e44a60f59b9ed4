"""The ways through the forum that oracles share. Each is a generator that yields actions, is sent the page that follows, and returns the
last one.
"""

import re
from collections.abc import Generator

from webgym.authoring.oracle import click, fill, find, press, seek
from webgym.types import Action, Node, Observation

Walk = Generator[Action, Observation, Observation]
NEW = "Write comment..."


def topic(page: Observation, title: str) -> Walk:
    """A topic's page, from the list of all topics."""
    page = yield press(page, "Spirit", "link")
    while seek(page, title, "link") is None:
        page = yield press(page, "fa fa-chevron-right", "link")
    page = yield press(page, title, "link")
    return page


def below(page: Observation, user: str, text: str) -> Node:
    """The link of this text that belongs to the comment of a person. Raises LookupError."""
    person = find_person(page, user)
    after = page.nodes[page.nodes.index(person) + 1 :]
    found = next((node for node in after if node.role == "link" and node.text.startswith(text)), None)
    if found is None:
        raise LookupError(f"there is no {text!r} below the comment of {user}")
    return found


def find_person(page: Observation, user: str) -> Node:
    """The name above a person's comment; the first link with one's own name is that of the page's head."""
    found = [node for node in page.nodes if node.role == "link" and re.fullmatch(rf"{user}( Moderator)?( Original Poster)?", node.text)]
    own = page.nodes[: page.nodes.index(find(page, "Moderate", "link"))]
    found = [node for node in found if node not in own]
    if not found:
        raise LookupError(f"nothing on the page is by {user}")
    return found[0]


def published(page: Observation, text: str) -> Walk:
    """A comment, added to the topic that is shown."""
    page = yield fill(find(page, NEW, "textbox"), text)
    page = yield press(page, "Publish", "button")
    return page


def chosen(page: Observation, label: str) -> Walk:
    """An option of the only select box."""
    page = yield click(find(page, label, "option"))
    return page


def filled(page: Observation, **fields: str) -> Walk:
    """Texts in fields by their labels; `_` stands for a space."""
    for name, text in fields.items():
        page = yield fill(find(page, f"{name.replace('_', ' ')}:", "textbox"), text)
    return page
