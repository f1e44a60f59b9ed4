"""Oracles of the goals about pages of the wiki."""

import re

from webgym.authoring.oracle import Memory, find, press, quoted, seek
from webgym.types import Goto, Observation, Stop

from .tickets import component, handed_over, saved
from .walk import edited, filled, line, ticket, wiki


def add_line(page: Observation) -> Memory:
    said = quoted(page)
    name = next(text for text in said if text.startswith("Notes"))
    (words,) = (text for text in said if text != name)
    page = yield from wiki(page, "Contents", name)
    yield from edited(page, words)
    yield Stop()


def write_page(page: Observation) -> Memory:
    name, words = quoted(page)[:2]
    page = yield Goto(re.sub(r"(://[^/]+).*", rf"\1/wiki/{name}", page.url))
    if seek(page, "Create this page", "button") is not None:
        page = yield press(page, "Create this page", "button")
    page = yield from filled(page, "text", words)
    page = yield press(page, "Submit changes", "button")
    page = yield press(page, "Wiki", "link")
    page = yield press(page, "Contents", "link")
    yield from edited(page, f" * [wiki:{name}]")
    yield Stop()


def remove(page: Observation) -> Memory:
    (name,) = quoted(page)
    page = yield from wiki(page, "Contents", name)
    page = yield press(page, "Delete page", "button")
    yield press(page, "Delete page", "button")
    yield Stop()


def hand_to_deputy(page: Observation) -> Memory:
    (summary,) = quoted(page)
    page = yield from ticket(page, summary)
    name = component(page)
    page = yield from wiki(page, "Deputies")
    person = line(page, rf"^{name}: (\w+)$")
    page = yield from ticket(page, summary)
    yield from handed_over(page, person)
    yield Stop()


def tell_the_store(page: Observation) -> Memory:
    said = quoted(page)
    page = yield from wiki(page, "Stores")
    store = next(text for text in said if any(text in node.text for node in page.nodes))
    (summary,) = (text for text in said if text != store)
    person = line(page, rf"^{store}: ask (\w+)$").lower()
    page = yield from ticket(page, summary)
    assert find(page, "Cc:", "textbox").value in (None, "")
    page = yield from filled(page, "Cc:", person)
    yield from saved(page)
    yield Stop()
