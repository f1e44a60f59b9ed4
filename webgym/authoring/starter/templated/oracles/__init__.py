"""Programs that reach the goals from what an agent sees. They import nothing of this pack but one another."""

from collections.abc import Callable, Mapping

from webgym.authoring.oracle import Memory
from webgym.types import Observation

from . import lending

ORACLES: Mapping[str, Callable[[Observation], Memory]] = {"lend": lending.lend, "borrower": lending.borrower}
