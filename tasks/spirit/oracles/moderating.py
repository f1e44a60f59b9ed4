"""Oracles of a moderator's goals."""

from webgym.authoring.oracle import Memory, click, press, quoted
from webgym.types import Observation, Stop

from .walk import Walk, below, chosen, filled, topic


def moderated(page: Observation, title: str, what: str) -> Walk:
    """An entry of a topic's menu, confirmed."""
    page = yield from topic(page, title)
    page = yield press(page, "Moderate", "link")
    page = yield press(page, what, "link")
    return page


def close(page: Observation) -> Memory:
    (title,) = quoted(page)
    yield from moderated(page, title, "Close topic")
    yield Stop()


def pin(page: Observation) -> Memory:
    (title,) = quoted(page)
    yield from moderated(page, title, "Pin topic")
    yield Stop()


def edited(page: Observation, title: str) -> Walk:
    """The form of a topic."""
    page = yield from topic(page, title)
    page = yield press(page, "edit", "link")
    return page


def move(page: Observation) -> Memory:
    title, category = quoted(page)
    page = yield from edited(page, title)
    page = yield from chosen(page, category)
    yield press(page, "Update", "button")
    yield Stop()


def rename(page: Observation) -> Memory:
    title, new = quoted(page)
    page = yield from edited(page, title)
    page = yield from filled(page, Title=new)
    yield press(page, "Update", "button")
    yield Stop()


def remove_comment(page: Observation) -> Memory:
    title, user = quoted(page)
    page = yield from topic(page, title)
    yield click(below(page, user, "delete"))
    yield Stop()
