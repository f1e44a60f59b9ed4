"""The seam between the loop and the critics: one protocol for V(s_t), read per turn or per token, and for Q(s_t, a_t)."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from torch import Tensor, nn

from trainers.batches.rows import Row
from trainers.credit.credit import Values
from trainers.learning.peers import Shards
from trainers.samplers.sampler import Generated
from webgym.types import Group, Trajectory, Turn

Draw = Callable[[Sequence[Turn], Sequence[int]], list[Generated]]
"""Completions of the prompts of turns, each with its seed, by the current policy; under the turn's grammar, where it had one."""

Best = Callable[[tuple[int, ...], Sequence[tuple[int, ...]]], int]
"""Prompt ids and the ids of proposed actions → the place of the proposal with the highest value."""


Through = Callable[[Callable[[], Tensor]], Tensor]
"""Calls a function that computes with a sharded decoder (:func:`trainers.learning.shards.through`)."""


@dataclass(frozen=True, eq=False)
class Valued:
    """A batch with its values, and the metrics of the critic's fit: the input of credit assignment.

    It is the batch that came, unless the algorithm gives credit to other actions than the recorded ones.
    """

    groups: Sequence[Group]
    trajectories: Sequence[Trajectory]
    rows: Sequence[Row]
    values: Values
    metrics: dict[str, float]


class Valuer(Protocol):
    """A critic with its optimiser, as the loop uses it.

    `best` chooses among proposed actions; it is None for a critic of states, which cannot compare actions.
    """

    @property
    def critic(self) -> nn.Module: ...

    @property
    def best(self) -> Best | None: ...

    def values_and_fit(
        self, groups: Sequence[Group], trajectories: Sequence[Trajectory], rows: Sequence[Row], iteration: int, draw: Draw
    ) -> Valued:
        """Values of a batch and the fit to it. `groups` may have shaped rewards; `trajectories` are as recorded.

        `draw` gives completions by the present policy, for critics that learn from actions drawn anew.
        """
        ...

    def turn_values(self, trajectories: Sequence[Trajectory]) -> list[np.ndarray]:
        """V(s_t) of any trajectories under the current critic, [T_i] each."""
        ...

    def start_from(self, critic: nn.Module) -> None:
        """Go on with a critic that was fitted before. Raises ConfigError where this kind of critic cannot."""
        ...

    def shard(self, peers: Shards, through: Through) -> None:
        """Leave each process its part of the critic of the first one; all call this together, and from then on every other method.

        `through` computes with the policy's decoder, which is sharded by now.
        """
        ...

    def save(self, folder: Path) -> None:
        """Write the critic's folder of a checkpoint."""
        ...

    def state_dict(self) -> dict[str, Any]:
        """State that :meth:`restore` needs beside the folder."""
        ...

    def restore(self, folder: Path, state: dict[str, Any]) -> None:
        """Go on where `save` and `state_dict` were taken."""
        ...
