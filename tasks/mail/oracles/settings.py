"""Oracles of goals with the settings."""

from webgym.authoring.oracle import Memory, find, press, quoted
from webgym.types import Observation, Select, Stop

from .walk import enter, solves, walk


@solves("signature")
def signature(page: Observation) -> Memory:
    (text,) = quoted(page)
    page = yield press(page, "Settings", "link")
    page = yield from enter(page, ("Signature", text))
    yield press(page, "Save", "button")
    yield Stop()


@solves("vacation")
def vacation(page: Observation) -> Memory:
    first, last, subject, text = quoted(page)
    page = yield from walk(page, "Settings", "Vacation", "Responder on")
    page = yield from enter(page, ("First day", first), ("Last day", last), ("Subject", subject), ("Text", text))
    yield press(page, "Save", "button")
    yield Stop()


@solves("filter")
def filter(page: Observation) -> Memory:
    email, folder = quoted(page)
    page = yield from walk(page, "Settings", "Filters", "New filter")
    page = yield from enter(page, ("Sender", email))
    places = find(page, "Move to", "combobox")
    assert places.ref is not None
    page = yield Select(places.ref, (folder,))
    page = yield press(page, "Apply to the inbox now", "checkbox")
    yield press(page, "Save", "button")
    yield Stop()
