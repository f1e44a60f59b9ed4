"""Fava, accounting over a Beancount ledger, as it comes from its package: a year of a made-up bakery's books.

An episode is won when the ledger and its documents differ from their first state by what the goal asks for, and by nothing else.
"""

from collections.abc import Mapping
from functools import cache
from pathlib import Path

from webgym.authoring.template import tasks_of
from webgym.task import Site, Task

from .application.content import FILES
from .goals import GOALS
from .oracles import ORACLES
from .site import HOST, site


@cache
def tasks() -> Mapping[str, Task]:
    """All tasks by their name."""
    files = {name: text.encode() for name, text in FILES.items()}
    return tasks_of("fava", Path(__file__).parent, HOST, GOALS, ORACLES, beginning={"files": files})


def sites() -> tuple[Site, ...]:
    """The one site."""
    return (site(),)
