"""What can be asked of a customer's agent, by name."""

from .booking import BOOKING
from .finding import FINDING
from .goal import Errand
from .managing import MANAGING

ERRANDS: tuple[Errand, ...] = (*FINDING, *MANAGING, *BOOKING)
__all__ = ["ERRANDS", "Errand"]
