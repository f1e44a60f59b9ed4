"""The shop's site: its pages over the world of an episode."""

from functools import cache
from pathlib import Path
from typing import Any

from webgym.sites.rendered import RenderedSite

from .policies import TODAY, department_title, long_date, money
from .views import account, basket, browse, help
from .world import CUSTOMER, Opening, World

HOST = "shop.localhost"


def begin(seed: int, opening: Any) -> World:
    """The world of an episode; what a task gives as its site state is an :class:`Opening`, or nothing."""
    if opening is not None and not isinstance(opening, Opening):
        raise TypeError(f"expected an Opening as the shop's site state, got {type(opening).__name__}")
    return World(opening)


@cache
def site() -> RenderedSite[World]:
    """The shop."""
    return RenderedSite(
        HOST,
        Path(__file__).parent,
        [*browse.ROUTES, *basket.ROUTES, *account.ROUTES, *help.ROUTES],
        begin=begin,
        shown=World.shown,
        context=lambda world: {"world": world, "customer": CUSTOMER, "today": TODAY},
        filters={"money": money, "long_date": long_date, "department": department_title},
    )
