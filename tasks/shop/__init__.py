"""Larkfield, an online shop: a catalogue of 2,112 made-up products, a cart, a checkout in four steps, orders, returns and policies.

Every page is rendered by the server, the state of an episode lives in memory (:mod:`.world`), and success is decided from that state
and the agent's answer alone.
"""

from collections.abc import Mapping
from functools import cache
from pathlib import Path

from webgym.authoring.template import tasks_of
from webgym.task import Site, Task

from .goals import GOALS
from .oracles import ORACLES
from .site import HOST, site


@cache
def tasks() -> Mapping[str, Task]:
    """All tasks by their name."""
    return tasks_of("shop", Path(__file__).parent, HOST, GOALS, ORACLES)


def sites() -> tuple[Site, ...]:
    """The one site."""
    return (site(),)
