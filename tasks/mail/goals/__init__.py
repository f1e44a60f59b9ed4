"""The goals of the mailbox's owner: each draws its world, the values that its wordings tell, and how the account must be left."""

from . import calendar, filing, people, reading, settings, writing
from .goal import GOALS

__all__ = ["GOALS", "calendar", "filing", "people", "reading", "settings", "writing"]
