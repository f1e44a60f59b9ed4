"""The goals on the books: reached when the ledger and its documents have changed as it was asked, and not otherwise."""

import random
import re
from collections.abc import Callable, Mapping
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

from webgym.authoring.template import Goal, Instance
from webgym.sites.apps.changes import alike
from webgym.task import Evidence

from ..application.content import PURCHASES, SUPPLIERS, Transaction

PATH = "/bakery/income_statement/"
FIRST_DAY = date(2026, 1, 1)
NUMBER = re.compile(r"-?\d[\d,]*(?:\.\d+)?")  # it never goes back, so that an answer of any length is read at once


def holds(instance: Instance, evidence: Evidence) -> bool:
    """True if the differences to the first state are those that the instance expects."""
    return alike(evidence.site_state["changes"], instance.expected)


def answered(instance: Instance, evidence: Evidence) -> bool:
    """True if the answer is the number that the instance expects, and nothing was changed."""
    found = NUMBER.findall(evidence.answer)
    return not evidence.site_state["changes"] and len(found) == 1 and Decimal(found[0].replace(",", "")) == instance.expected


def goal(name: str, draw: Callable[[random.Random], Instance]) -> Goal:
    """A goal that changes the books."""
    return Goal(name, draw, holds)


def question(name: str, draw: Callable[[random.Random], Instance]) -> Goal:
    """A goal that is an answer, and leaves the books as they are."""
    return Goal(name, draw, answered)


def due(values: Mapping[str, Any], **changes: Any) -> Instance:
    """An instance whose `changes`, by kind, are expected."""
    return Instance(values, changes, path=PATH)


def added(*rows: dict[str, Any]) -> dict[str, Any]:
    """Entries that are new."""
    return {"added": list(rows)}


def note(when: date, account: str, comment: str) -> dict[str, Any]:
    """A note as states have it."""
    return {"type": "Note", "date": str(when), "account": account, "comment": comment, "meta": {}}


def day(rng: random.Random) -> date:
    """A day of the new year, on which nothing has been entered yet."""
    return FIRST_DAY + timedelta(rng.randrange(0, 20))


def supplier(rng: random.Random) -> str:
    """Somebody from whom things are bought."""
    return rng.choice(sorted(SUPPLIERS))


def purchases(payee: str) -> list[Transaction]:
    """All that was bought from somebody, the oldest first."""
    return [entry for entry in PURCHASES if entry.payee == payee]
