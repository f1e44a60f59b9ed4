"""The goals of a member of the crew."""

from . import pages, planning, tickets

GOALS = [*tickets.GOALS, *pages.GOALS, *planning.GOALS]
