"""The site Farewing: routes, templates and the state of an episode put together."""

from pathlib import Path
from typing import Any

from webgym.sites.rendered import RenderedSite

from .account import Account, begin, shown
from .pages import booking, profile, search, trips
from .pages.form import long_day

HOST = "travel.localhost"


def _everywhere(account: Account) -> dict[str, Any]:
    """Values that every page shows."""
    return {"holder": account.world.holder}


SITE = RenderedSite(
    HOST,
    Path(__file__).parent,
    [*search.ROUTES, *booking.ROUTES, *trips.ROUTES, *profile.ROUTES],
    begin=begin,
    shown=shown,
    context=_everywhere,
    filters={"day": long_day},
)
