"""Oracles of the goals about topics and comments of one's own."""

from webgym.authoring.oracle import Memory, click, press, quoted
from webgym.types import Observation, Stop

from .walk import NEW, below, chosen, filled, published, topic


def reply(page: Observation) -> Memory:
    title, text = quoted(page)
    page = yield from topic(page, title)
    yield from published(page, text)
    yield Stop()


def open_topic(page: Observation) -> Memory:
    category, title, text = quoted(page)
    page = yield press(page, "Spirit", "link")
    page = yield press(page, "All Categories", "link")
    page = yield press(page, category, "link")
    page = yield press(page, "Create Topic", "link")
    page = yield from filled(page, Title=title, Comment=text)
    page = yield from chosen(page, category)
    yield press(page, "Publish", "button")
    yield Stop()


def like(page: Observation) -> Memory:
    title, user = quoted(page)
    page = yield from topic(page, title)
    yield click(below(page, user, "like ("))
    yield Stop()


def report(page: Observation) -> Memory:
    title, user = quoted(page)
    page = yield from topic(page, title)
    page = yield click(below(page, user, "report"))
    page = yield from chosen(page, "Spam")
    yield press(page, "Report", "button")
    yield Stop()


def mend(page: Observation) -> Memory:
    title, text = quoted(page)
    page = yield from topic(page, title)
    page = yield click(below(page, "ann", "edit"))
    page = yield from filled(page, Comment=text)
    yield press(page, "Publish", "button")
    yield Stop()


def write_to(page: Observation) -> Memory:
    person, title, text = quoted(page)
    page = yield press(page, "Create private topic", "link")
    page = yield from filled(page, Title=title, Invite_users=person, Comment=text)
    yield press(page, "Publish", "button")
    yield Stop()


def reply_to_busier(page: Observation) -> Memory:
    one, other, text = quoted(page)
    found = {}
    for title in (one, other):
        page = yield from topic(page, title)
        found[title] = sum(node.text == "edit" for node in page.nodes)  # one's own comment has no "quote"
    page = yield from topic(page, max(found, key=found.__getitem__))
    assert any(node.text == NEW for node in page.nodes)
    yield from published(page, text)
    yield Stop()
