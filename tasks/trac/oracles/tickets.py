"""Oracles of the goals about tickets."""

import re

from webgym.authoring.oracle import Memory, find, press, quoted
from webgym.types import Observation, Stop

from .walk import Walk, filled, option, result, searched, ticket

COMMENT = "You may use WikiFormatting here."


def saved(page: Observation) -> Walk:
    page = yield press(page, "Submit changes", "button")
    return page


def handed_over(page: Observation, person: str) -> Walk:
    """The ticket whose form is open, assigned to somebody."""
    page = yield press(page, "reassign", "radio")
    page = yield from filled(page, "action_reassign_reassign_owner", person)
    return (yield from saved(page))


def resolved(page: Observation, resolution: str, comment: str) -> Walk:
    """The ticket whose form is open, closed."""
    page = yield press(page, "resolve", "radio")
    page = yield from option(page, "action_resolve_resolve_resolution", resolution)
    page = yield from filled(page, COMMENT, comment)
    return (yield from saved(page))


def close(page: Observation) -> Memory:
    summary, resolution, comment = quoted(page)
    page = yield from ticket(page, summary)
    yield from resolved(page, resolution, comment)
    yield Stop()


def hand_over(page: Observation) -> Memory:
    summary, person = quoted(page)
    page = yield from ticket(page, summary)
    yield from handed_over(page, person)
    yield Stop()


def file(page: Observation) -> Memory:
    kind, summary, component, priority, milestone, description = quoted(page)
    page = yield press(page, "New Ticket", "link")
    page = yield from filled(page, "Summary:", summary)
    page = yield from filled(page, "Description: You may use WikiFormatting here.", description)
    for box, label in {"Type:": kind, "Component:": component, "Priority:": priority, "Milestone:": milestone}.items():
        page = yield from option(page, box, label)
    yield press(page, "Create ticket", "button")
    yield Stop()


def sort(page: Observation) -> Memory:
    summary, priority, milestone = quoted(page)
    page = yield from ticket(page, summary)
    page = yield from option(page, "Priority:", priority)
    page = yield from option(page, "Milestone:", milestone)
    yield from saved(page)
    yield Stop()


def mark(page: Observation) -> Memory:
    summary, keyword, version = quoted(page)
    page = yield from ticket(page, summary)
    page = yield from filled(page, "Keywords:", keyword)
    page = yield from option(page, "Version:", version)
    yield from saved(page)
    yield Stop()


def close_duplicate(page: Observation) -> Memory:
    summary, other = quoted(page)[:2]
    page = yield from searched(page, other)
    number = result(page, other)[1]
    page = yield from ticket(page, summary)
    yield from resolved(page, "duplicate", f"Same as ticket {number}.")
    yield Stop()


def watch_both(page: Observation) -> Memory:
    names = quoted(page)
    person = next(name for name in names if " " not in name)
    for summary in (name for name in names if name != person):
        page = yield from ticket(page, summary)
        page = yield from filled(page, "Cc:", person)
        page = yield from saved(page)
    yield Stop()


def take_up_older(page: Observation) -> Memory:
    found = {}
    for summary in quoted(page):
        page = yield from searched(page, summary)
        found[result(page, summary)[1]] = summary
    page = yield from ticket(page, found[min(found)])
    page = yield press(page, "accept", "radio")
    yield from saved(page)
    yield Stop()


def component(page: Observation) -> str:
    """The component of the ticket whose form is open."""
    value = find(page, "Component:", "combobox").value or ""
    return re.sub(r"\s+", " ", value)
