"""The tracker's goals: reached when the database has changed as it was asked, and not otherwise."""

import random
from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import Any

from webgym.authoring.template import Goal, Instance
from webgym.sites.apps.changes import alike
from webgym.task import Evidence

from ..application.content import ME, TICKETS, Ticket

Changes = Mapping[str, Any]


def holds(instance: Instance, evidence: Evidence) -> bool:
    """True if the differences to the first state are those that the instance expects."""
    return alike(evidence.site_state["changes"], instance.expected)


def goal(name: str, draw: Callable[[random.Random], Instance]) -> Goal:
    """A goal that can be reached."""
    return Goal(name, draw, holds)


def due(values: Mapping[str, Any], **changes: Any) -> Instance:
    """An instance whose `changes`, by query, are expected; empty ones are left out."""
    return Instance(values, {name: part for name, part in changes.items() if part}, path="/wiki")


def changed(ticket: Ticket, **fields: str) -> dict[str, dict[str, str]]:
    """A ticket's fields that become others, by its key; empty where all are so already."""
    before = asdict(ticket)
    new = {name: value for name, value in fields.items() if before.get(name, "") != value}
    return {str(ticket.id): new} if new else {}


def comment(ticket: Ticket, text: str) -> dict[str, Any]:
    """A comment of the agent's on a ticket, as a row that is added."""
    return {"ticket": ticket.id, "author": ME, "text": text}


def open_ticket(rng: random.Random, *keep: Callable[[Ticket], bool]) -> Ticket:
    """An open ticket for which all of `keep` hold."""
    return rng.choice([ticket for ticket in TICKETS if ticket.open and all(holds(ticket) for holds in keep)])
