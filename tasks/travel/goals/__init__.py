"""The goals of a customer."""

from webgym.authoring.template import Goal

from .booking import BOOKING
from .finding import FINDING
from .managing import MANAGING

GOALS: tuple[Goal, ...] = (*FINDING, *MANAGING, *BOOKING)
