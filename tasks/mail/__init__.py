"""Wrenpost, a mailbox with contacts, calendar, files and filters, and the goals of its owner.

Every episode has an account of its own: a part of a catalogue of old mail that is drawn once per process (`catalogue.py`), with the
goal's own people, mails and dates on top (`scene.py`, `goals/`). A goal is reached when the account has exactly the wanted
changes. The oracles (`oracles/`) read pages and goals only.
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
    return tasks_of("mail", Path(__file__).parent, HOST, GOALS, ORACLES)


@cache
def sites() -> tuple[Site, ...]:
    """The one site."""
    return (site(),)
