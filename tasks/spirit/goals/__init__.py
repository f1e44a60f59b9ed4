"""The goals of a moderator."""

from . import moderating, talking

GOALS = [*talking.GOALS, *moderating.GOALS]
