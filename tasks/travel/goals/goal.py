"""The goals of a customer, and the comparison of the final account with the wanted one."""

from collections.abc import Mapping
from typing import Any

from webgym.authoring.checks import read_date, read_number
from webgym.authoring.template import Draw, Goal, Holds, Instance
from webgym.task import Evidence

from ..account import Trip, begin, shown, trip_shown


def essence(trip: Mapping[str, Any] | Trip) -> dict[str, Any]:
    """A trip without the fields that follow from the rest (prices), and with each passenger's things together, in no order."""
    plain = trip_shown(trip) if isinstance(trip, Trip) else trip
    rows = zip(plain["passengers"], plain["bags"], zip(*plain["seats"], strict=True), strict=True)
    kept = {key: plain[key] for key in ("legs", "fare", "insurance", "paid_by", "status", "refund")}
    return kept | {"people": sorted([*person, bags, list(seats)] for person, bags, seats in rows)}


def left(state: Mapping[str, Any], known: Mapping[str, Any]) -> dict[str, Any]:
    """Parts of a site's state that count: all but a booking in progress, which is not binding. `known` are the trips of the start."""
    return {
        "trips": {reference: essence(trip) for reference, trip in state["trips"].items() if reference in known},
        "booked": [essence(trip) for reference, trip in state["trips"].items() if reference not in known],
        "travellers": sorted(state["travellers"].values()),
        "alerts": sorted(state["alerts"].values()),
        "preferences": state["preferences"],
        "credit": state["credit"],
    }


def as_expected(instance: Instance, evidence: Evidence) -> bool:
    """True if the account has changed from the start only by `expected`: entries of the parts of :func:`left`."""
    began = shown(begin(0, instance.site_state))
    wanted = left(began, began["trips"])
    for part, entries in (instance.expected or {}).items():
        wanted[part] = wanted[part] | entries if part == "trips" else entries
    return left(evidence.site_state, began["trips"]) == wanted


def untouched(instance: Instance, evidence: Evidence) -> bool:
    """True if the account is as at the start."""
    return as_expected(Instance({}, None, instance.site_state), evidence)


def answers_number(instance: Instance, evidence: Evidence) -> bool:
    """True if the account is unchanged and the answer is the expected number."""
    return untouched(instance, evidence) and read_number(evidence.answer) == instance.expected


def answers_date(instance: Instance, evidence: Evidence) -> bool:
    """True if the account is unchanged and the answer is the expected date."""
    return untouched(instance, evidence) and read_date(evidence.answer) == instance.expected


def answers_text(instance: Instance, evidence: Evidence) -> bool:
    """True if the account is unchanged and the answer is the expected word, which a page has shown."""
    right = untouched(instance, evidence) and evidence.answer.strip().rstrip(".") == instance.expected
    return right and evidence.showed(instance.expected)


def goal(name: str, draw: Draw, holds: Holds = as_expected, *, feasible: bool = True, twin: str = "") -> Goal:
    """A goal of the site; unless a check is given, it is reached when :func:`as_expected` is true."""
    return Goal(name, draw, holds, feasible, twin)
