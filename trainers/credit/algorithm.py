"""The contract of an algorithm: the parts of its file, and its requests to the loop.

Options that the loop reads, beside the algorithm, are fields of the bases here, so that no option of that name can do nothing::

    AlgorithmConfig         loss: LossSpec                     every algorithm
    ├── Discounted          gamma: float                       those whose returns are discounted
    ├── Bootstrapped        bootstrap_at_limit: bool           those that can use V(s_T) at the turn limit
    └── ActionValueConfig   q: QSpec                           those with a critic of actions (trainers/critics/q_critic.py)
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from operator import attrgetter
from typing import Any, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, model_validator

from trainers.credit.credit import Credit, Values
from trainers.learning.losses import LossSpec, was_kept
from webgym.rollout.branch import Branch
from webgym.types import Group, Trajectory

NeedsValues = Literal["", "turn", "token", "action"]

Forks = Callable[[Sequence[Trajectory], Sequence[np.ndarray] | None], list[Branch]]
"""Episodes and their V(s_t), where there is a critic of states → continuations to be played besides. A fork may depend on what came
before its state, never on what came after."""


class AlgorithmConfig(BaseModel):
    """Options of an algorithm: one field each, with a default and a line of documentation."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, use_attribute_docstrings=True)

    loss: LossSpec = LossSpec()
    """Loss of the policy."""

    def idle(self) -> dict[str, str]:
        """Options that have no effect as the others are set: name (`loss.` and `q.` before those of groups) → the reason.

        One of them that was changed from its default is refused.
        """
        return {}

    def all_idle(self) -> dict[str, str]:
        """The same with those of the loss."""
        theirs = self.loss.idle() if isinstance(self.loss, LossSpec) else {}
        return {**{f"loss.{key}": x for key, x in theirs.items()}, **self.idle()}

    @model_validator(mode="after")
    def _refuse_idle_options(self, info: Any) -> "AlgorithmConfig":
        for name, why in {} if was_kept(info.context) else self.all_idle().items():
            value, default = attrgetter(name)(self), self._default(name)
            if value != default:
                raise ValueError(f"{name}={value} has no effect with {why}: leave {name} out (it is {default} by default)")
        return self

    @classmethod
    def _default(cls, name: str) -> Any:
        field, _, rest = name.partition(".")
        default = cls.model_fields[field].default
        return attrgetter(rest)(default) if rest else default


class Discounted(AlgorithmConfig):
    """Options of an algorithm whose returns are discounted."""

    gamma: float = Field(default=0.99, gt=0, le=1)
    """Discount per turn, of the critic's targets and of the advantage."""


class Bootstrapped(AlgorithmConfig):
    """Options of an algorithm that can look beyond the turn limit; its `values` then have `final`, V(s_T)."""

    bootstrap_at_limit: bool = False
    """Use V(s_T) where the turn limit ended the episode, else 0, because the limit is part of the task."""


def discount(config: AlgorithmConfig) -> float:
    """γ per turn of the critic's targets; 1 where the algorithm has none, or does not discount as it is set."""
    return config.gamma if isinstance(config, Discounted) and "gamma" not in config.idle() else 1.0


def bootstraps(config: AlgorithmConfig) -> bool:
    """True where V(s_T) is read at the turn limit."""
    return isinstance(config, Bootstrapped) and config.bootstrap_at_limit


@dataclass(frozen=True, slots=True)
class Practice:
    """Requests of an algorithm to the loop, beyond values; the default is on-policy."""

    replay: int = 1  # iterations whose episodes a batch holds, the newest included
    imitates: bool = False  # the actions with credit are examples to repeat, whoever wrote them; else they are a sample of the policy's own
    members: int = 1  # fewest episodes of a group by which it can give credit
    episodes: int = 1  # fewest episodes of an iteration by which it can give credit
    fresh: bool = False  # credit is given to actions drawn anew in every turn of the batch (imitating, the best of several by Q)
    best_of: int = 1  # actions drawn in every turn of a training episode, of which the one with the highest Q is performed
    explore: float = 0.0  # chance that a turn of a training episode performs the first of them instead
    resample: int = 0  # rounds in which further groups are played, one for each group of the round before whose episodes all did the same
    forks: Forks | None = None  # continuations of the episodes, which make each group a tree (trainers.credit.tree)


@dataclass(frozen=True)
class Algorithm:
    """Contents of an algorithm's file. `targets` is None where no configuration of it has a critic of states."""

    name: str
    key: str  # value of `algo` in a configuration: the name, or the absolute path of the file
    summary: str  # first line of its docstring
    Config: type[AlgorithmConfig]
    needs_values: Callable[[AlgorithmConfig], NeedsValues]
    credit: Callable[[Sequence[Group], Values | None, AlgorithmConfig], Credit]
    targets: Callable[[Sequence[Group], AlgorithmConfig], list[np.ndarray]] | None
    practice: Callable[[AlgorithmConfig], Practice]
    metrics: Mapping[str, str]  # meaning of the metrics that only it logs (METRICS of its file)
