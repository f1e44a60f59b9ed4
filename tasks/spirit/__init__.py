"""Spirit, a forum in Django, as it comes from its package: 30 made-up topics in six categories, and a moderator.

An episode is won when the database differs from its first state by what the goal asks for, and by nothing else.
"""

from collections.abc import Mapping
from functools import cache
from pathlib import Path

from webgym.authoring.template import tasks_of
from webgym.task import Site, Task

from .application.content import SESSION
from .goals import GOALS
from .oracles import ORACLES
from .site import HOST, site


@cache
def tasks() -> Mapping[str, Task]:
    """All tasks by their name."""
    return tasks_of("spirit", Path(__file__).parent, HOST, GOALS, ORACLES, beginning={"cookies": {"sessionid": SESSION}})


def sites() -> tuple[Site, ...]:
    """The one site."""
    return (site(),)
