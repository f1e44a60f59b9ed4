"""What can be asked of a customer's agent, by name."""

from .booking import BOOKING
from .errand import Errand
from .finding import FINDING
from .managing import MANAGING

ERRANDS: tuple[Errand, ...] = (*FINDING, *MANAGING, *BOOKING)
__all__ = ["ERRANDS", "Errand"]
