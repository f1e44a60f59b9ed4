"""The goals of a customer."""

from . import buying, finding, orders

GOALS = [*finding.GOALS, *buying.GOALS, *orders.GOALS]
