"""The shop's goals: reached when the database has changed as it was asked, and not otherwise."""

import random
from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import Any

from webgym.authoring.template import Goal, Instance
from webgym.sites.apps.changes import alike
from webgym.task import Evidence

from ..application.content import PRODUCTS, Address, Product


def holds(instance: Instance, evidence: Evidence) -> bool:
    """True if the differences to the first state are those that the instance expects."""
    return alike(evidence.site_state["changes"], instance.expected)


def goal(name: str, draw: Callable[[random.Random], Instance]) -> Goal:
    """A goal that can be reached."""
    return Goal(name, draw, holds)


def due(values: Mapping[str, Any], **changes: Any) -> Instance:
    """An instance whose `changes`, by query, are expected."""
    return Instance(values, changes, path="/catalogue/")


def products(rng: random.Random, count: int, *, sold_out: bool = False) -> list[Product]:
    """Different products, all in stock, or all sold out."""
    return rng.sample([product for product in PRODUCTS if (product.stock == 0) is sold_out], count)


def ordered(*lines: tuple[Product, int], to: Address) -> dict[str, Any]:
    """The changes that an order makes."""
    total = sum(product.price * count for product, count in lines)
    return {
        "orders": {"added": [{"total": float(total), **asdict(to)}]},
        "ordered": {"added": [{"title": product.title, "quantity": count} for product, count in lines]},
    }
