"""Farewing, a travel booking site, where flights of fictitious airlines between real cities are found, booked, changed and cancelled.

`places` and `timetable` are the base catalogue, equal in all episodes. `account` is the part that an episode may change, and `pages` show
it. `goals` draw the tasks and compare the final account, `wordings.toml` words them, and `oracles` solve them.
"""

from collections.abc import Mapping
from functools import cache
from pathlib import Path

from webgym.authoring.template import tasks_of
from webgym.task import Site, Task

from .goals import GOALS
from .oracles import ORACLES
from .site import HOST, SITE


@cache
def tasks() -> Mapping[str, Task]:
    """All tasks by their name."""
    return tasks_of("travel", Path(__file__).parent, HOST, GOALS, ORACLES)


@cache
def sites() -> tuple[Site, ...]:
    """The one site."""
    return (SITE,)
