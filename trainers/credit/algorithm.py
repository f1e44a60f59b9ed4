"""The contract of an algorithm: what its file defines, and what it asks of the loop."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from pydantic import BaseModel

from trainers.credit.credit import Credit, Values
from webgym.types import Group

NeedsValues = Literal["", "turn", "token", "action"]


@dataclass(frozen=True, slots=True)
class Practice:
    """What an algorithm asks of the loop besides; the default is on-policy."""

    replay: int = 1  # iterations whose episodes a batch holds, the newest included
    fresh: bool = False  # credit is given to actions drawn anew in every turn of the batch (of several, the best by Q), not to the recorded
    best_of: int = 1  # actions drawn in every turn of a training episode, of which the one with the highest Q is performed
    resample: int = 0  # rounds in which further groups are played, one for each group of the round before whose episodes all did the same


@dataclass(frozen=True)
class Algorithm:
    """What an algorithm's file defines. `targets` is None where no configuration of it has a critic of states."""

    name: str
    summary: str  # first line of its docstring
    Config: type[BaseModel]
    needs_values: Callable[[Any], NeedsValues]
    credit: Callable[[Sequence[Group], Values | None, Any], Credit]
    targets: Callable[[Sequence[Group], Any], list[np.ndarray]] | None
    practice: Callable[[Any], Practice]


def bootstraps(own: Any) -> bool:
    """Whether this Config of an algorithm asks for V(s_T) at the turn limit."""
    return bool(getattr(own, "bootstrap_at_limit", False))
