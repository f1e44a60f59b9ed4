"""PACK: a library of tools that neighbours borrow. Try the tasks after each change: `webgym tasks validate FOLDER`.

`shelf.py` is the state of an episode, `pages/` and `templates/` show and change it, `site.py` puts them together. `goals/` draw what is
asked and compare how the site was left, `wordings.toml` words it, `oracles/` do it from what an agent sees, `pack.toml` has the limits.
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
    """The tasks by name, as pack.toml lists them."""
    return tasks_of("PACK", Path(__file__).parent, HOST, GOALS, ORACLES)


def sites() -> tuple[Site, ...]:
    """The sites that serve the tasks' hosts."""
    return (SITE,)
