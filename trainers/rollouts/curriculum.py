"""Choice of tasks to practise. Tasks that are neither solved nor hopeless teach most, because only groups with spread have a gradient."""

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from webgym.types import Trajectory, seed_from


class CurriculumConfig(BaseModel):
    """Settings of the draw of training tasks. Evaluation always takes every task alike."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, use_attribute_docstrings=True)

    adaptive: bool = True
    """Prefer tasks with success between 20 and 80%; false draws all alike."""
    memory: float = Field(default=0.8, ge=0, lt=1)
    """Share of a task's old success estimate that is kept at each new batch of its episodes."""
    floor: float = Field(default=0.1, gt=0, le=1)
    """Weight of a solved or hopeless task, against 1 for one at 50%, so that no task is ever dropped."""


class Curriculum:
    """Draws tasks with weight floor + (1 − floor) · 4 p (1 − p), p being the running success of the task, 1/2 before it was tried.

    4 p (1 − p) is the variance of a success relative to its maximum. It measures how much a group of that task's episodes can teach.
    """

    def __init__(self, tasks: Sequence[str], config: CurriculumConfig, seed: int) -> None:
        self.tasks = tuple(tasks)
        self._config = config
        self._seed = seed
        self._success: dict[str, float] = {}

    def weights(self) -> np.ndarray:
        """The chance of each task to be drawn, [tasks]."""
        if not self._config.adaptive:
            return np.full(len(self.tasks), 1 / len(self.tasks))
        p = np.array([self._success.get(task, 0.5) for task in self.tasks])
        weight = self._config.floor + (1 - self._config.floor) * 4 * p * (1 - p)
        return weight / weight.sum()

    def draw(self, iteration: int, groups: int, again: int = 0) -> list[str]:
        """The tasks of an iteration's groups: by systematic sampling, so that each comes as often as its weight says, give or take one.

        `again` counts the draws of this iteration that came before.
        """
        place = (iteration, again) if again else (iteration,)
        start = np.random.default_rng(seed_from(self._seed, "curriculum", *place)).random()
        points = (np.arange(groups) + start) / groups
        return [self.tasks[i] for i in np.searchsorted(np.cumsum(self.weights()), points, side="right").clip(max=len(self.tasks) - 1)]

    def update(self, trajectories: Iterable[Trajectory]) -> None:
        """Learn from the outcomes of a batch; faulted episodes are ignored."""
        outcomes: dict[str, list[float]] = {}
        for trajectory in trajectories:
            if not trajectory.outcome.faulted:
                outcomes.setdefault(trajectory.key.task_id, []).append(float(trajectory.outcome.success))
        for task, results in outcomes.items():
            old, new = self._success.get(task), float(np.mean(results))
            keep = self._config.memory ** (len(results) / 8)
            self._success[task] = new if old is None else keep * old + (1 - keep) * new

    def state_dict(self) -> dict[str, Any]:
        """The running success of each task tried."""
        return {"success": dict(self._success)}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on where `state_dict` was taken."""
        self._success = dict(state["success"])
