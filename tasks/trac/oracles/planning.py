"""Oracles of the goals about the plan."""

from webgym.authoring.oracle import Memory, press, quoted
from webgym.types import Observation, Stop

from .tickets import saved
from .walk import Walk, filled, option, ticket


def added(page: Observation, list_: str, **fields: str) -> Walk:
    """An entry of one of the lists under Admin."""
    page = yield press(page, "Admin", "link")
    page = yield press(page, list_, "link")
    for field, text in fields.items():
        page = yield from filled(page, f"{field}:", text)
    page = yield press(page, "Add", "button")
    return page


def planned(page: Observation, summary: str, box: str, label: str) -> Walk:
    """A ticket with another value of one field."""
    page = yield from ticket(page, summary)
    page = yield from option(page, box, label)
    return (yield from saved(page))


def add_component(page: Observation) -> Memory:
    name, person, summary = quoted(page)
    page = yield from added(page, "Components", Name=name, Owner=person)
    yield from planned(page, summary, "Component:", name)
    yield Stop()


def add_version(page: Observation) -> Memory:
    name, summary = quoted(page)
    page = yield from added(page, "Versions", Name=name)
    yield from planned(page, summary, "Version:", name)
    yield Stop()


def add_milestone(page: Observation) -> Memory:
    name, summary = quoted(page)
    page = yield from added(page, "Milestones", Name=name)
    yield from planned(page, summary, "Milestone:", name)
    yield Stop()
