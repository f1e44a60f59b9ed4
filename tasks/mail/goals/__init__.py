"""What the owner of the mailbox asks for: each chore draws its world, its goal's values, and what is to be left in the end."""

from . import calendar, filing, people, reading, settings, writing
from .goal import CHORES, Chore

__all__ = ["CHORES", "Chore", "calendar", "filing", "people", "reading", "settings", "writing"]
