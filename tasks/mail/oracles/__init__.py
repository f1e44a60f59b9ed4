"""Programs that reach the goals from an agent's observations: the goal and the pages, nothing else of this pack."""

from . import calendar, filing, people, reading, settings, writing
from .walk import ORACLES

__all__ = ["ORACLES", "calendar", "filing", "people", "reading", "settings", "writing"]
