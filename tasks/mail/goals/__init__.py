"""The goals of the mailbox's owner. Each draws its world, the values of its wordings, and the final state of the account."""

from . import calendar, filing, people, reading, settings, writing
from .goal import GOALS

__all__ = ["GOALS", "calendar", "filing", "people", "reading", "settings", "writing"]
