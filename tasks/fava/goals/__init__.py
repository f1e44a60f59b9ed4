"""The goals of somebody who keeps a bakery's books."""

from . import asking, entering, mending

GOALS = [*entering.GOALS, *mending.GOALS, *asking.GOALS]
