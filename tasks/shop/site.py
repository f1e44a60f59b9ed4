"""The shop's site: its pages over the world of an episode."""

import re
from functools import cache
from pathlib import Path
from typing import Any

from webgym.sites.rendered import RenderedSite

from .pages import account, basket, browse, help
from .policies import TODAY, department_title, long_date, money
from .world import CUSTOMER, Opening, World

HOST = "shop.localhost"
FOLDER = Path(__file__).parent
DRAWINGS = dict(re.findall(r'<symbol id="([^"]+)"[^>]*>(.*?)</symbol>', (FOLDER / "wares.svg").read_text("utf-8")))
"""The drawing of each category. Pages contain their drawings, because a page that refers to a file of drawings waits for it."""


def begin(seed: int, opening: Any) -> World:
    """The world of an episode; the site state of a task is an :class:`Opening`, or None."""
    if opening is not None and not isinstance(opening, Opening):
        raise TypeError(f"expected an Opening as the shop's site state, got {type(opening).__name__}")
    return World(opening)


@cache
def site() -> RenderedSite[World]:
    """The shop."""
    return RenderedSite(
        HOST,
        FOLDER,
        [*browse.ROUTES, *basket.ROUTES, *account.ROUTES, *help.ROUTES],
        begin=begin,
        shown=World.shown,
        context=lambda world: {"world": world, "customer": CUSTOMER, "today": TODAY},
        filters={"money": money, "long_date": long_date, "department": department_title, "drawing": DRAWINGS.__getitem__},
    )
