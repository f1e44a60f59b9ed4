"""Distinct turns, each read once, because for a policy without memory most prompts of a batch occur many times.

One row with the mean of its targets, weighted by its number of occurrences, gives the same gradients as all of them. The reason is that
the losses are linear in the target (or, squared, differ by a term that does not depend on the parameters).
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from trainers.batches.rows import Row, rows_of_all
from webgym.types import Trajectory


@dataclass(frozen=True, eq=False)
class Distinct:
    """`rows` have one turn each, whose number is that of the row; `place` is the row of each turn of the trajectories, in their order.

    `owner` is the owner of each row (turns of different owners are never joined), `count` how many turns it stands for.
    """

    rows: Sequence[Row]
    place: np.ndarray
    owner: np.ndarray
    count: np.ndarray
    lengths: Sequence[int]

    @classmethod
    def of(cls, trajectories: Sequence[Trajectory], owners: Sequence[int], with_action: bool = False) -> "Distinct":
        """The distinct prompts of each owner; `with_action` tells turns with other actions apart, for a critic that reads them."""
        places: dict[object, int] = {}
        turns, place, owner = [], [], []
        for who, x in zip(owners, trajectories, strict=True):
            for turn in x.turns:
                written = turn.completion
                name = (who, written.prompt_ids, written.key, written.action_ids if with_action else ())
                if name not in places:
                    places[name] = len(places)
                    turns.append(replace(x, turns=(turn,)))
                    owner.append(who)
                place.append(places[name])
        return cls(rows_of_all(turns), np.array(place), np.array(owner), np.bincount(place).astype(float), [len(x) for x in trajectories])

    def mean(self, per_turn: Sequence[np.ndarray]) -> np.ndarray:
        """The mean over the turns of each row, of values given per trajectory."""
        return np.bincount(self.place, np.concatenate(per_turn)) / self.count

    def per_trajectory(self, per_row: np.ndarray) -> list[np.ndarray]:
        """Values given per row, as one array per trajectory."""
        return np.split(per_row[self.place], np.cumsum(self.lengths)[:-1])
