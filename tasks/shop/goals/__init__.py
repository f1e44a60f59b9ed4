"""What agents are asked to do in the shop."""

from . import buying, finding, orders

TASKS = [*finding.TASKS, *buying.TASKS, *orders.TASKS]
